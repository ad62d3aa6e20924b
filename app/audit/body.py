"""The shape of an entry's body, for writing it and for reading it back strictly. Pure.

Every field is required and nothing else is allowed; `parameters`, `before` and `after` hold
what services put there.
"""

from typing import Annotated, Any, Literal

import msgspec

from app.audit import canonical
from app.audit.canonical import LARGEST_INTEGER, NotCanonical


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class BodyActor(_Strict, frozen=True):
    kind: Literal["user", "system", "anonymous"]
    id: str | None
    role: str


class BodyOrigin(_Strict, frozen=True):
    request_id: str
    session: str
    address: str
    agent: str
    method: str


class BodyTarget(_Strict, frozen=True):
    type: str
    id: str
    parent: str


class Body(_Strict, frozen=True):
    """Version 1 of the body; ids are lowercase UUIDs, `time` is the leaf's."""

    v: Literal[1]
    id: str
    time: str
    organization: str
    action: str
    outcome: str
    actor: BodyActor
    origin: BodyOrigin
    target: BodyTarget
    scope: str | None
    parameters: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


# What `canonical.check` allows within a part, but for its keys; deeper ones are left to it.
_Scalar = None | bool | Annotated[int, msgspec.Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)] | str
_Inner = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Part = dict[str, _Scalar | list[_Inner] | dict[str, _Inner]]


class _Usual(Body, frozen=True):
    """A body that is checked while it is read, in a tenth of the time."""

    parameters: _Part
    before: _Part
    after: _Part


_decoder = msgspec.json.Decoder(Body)
_decode_usual = msgspec.json.Decoder(_Usual).decode
# Equal to canonical.dump for every text (a test compares all code points), and ten times faster.
_encode = msgspec.json.Encoder(order="sorted").encode


def part(value: Any) -> msgspec.Raw:
    """A part of a new body, encoded; raises NotCanonical as `canonical.dump` does."""
    canonical.check(value)
    try:
        return msgspec.Raw(_encode(value))
    except UnicodeEncodeError:
        raise NotCanonical("a text is not valid Unicode") from None
    except TypeError:  # a text or number of somebody's own type: slower, and the same bytes
        return msgspec.Raw(canonical.dump(value))


class NewBody(msgspec.Struct, gc=False):
    """A body to be written. Many share parts, which are encoded once: those are `part`s. The
    fields are in the order of their names (RFC 8785 section 3.2.3)."""

    action: str
    actor: msgspec.Raw
    after: dict[str, Any]
    before: dict[str, Any]
    id: str
    organization: msgspec.Raw
    origin: msgspec.Raw
    outcome: str
    parameters: dict[str, Any]
    scope: msgspec.Raw
    target: dict[str, str]
    time: str
    v: int = 1

    def canonical(self) -> bytes:
        """Its canonical bytes; raises NotCanonical for values that have no canonical form."""
        for values in (self.target, self.after, self.before, self.parameters):
            if values:
                canonical.check(values)
        try:
            return _encode(self)
        except UnicodeEncodeError:
            raise NotCanonical("a text is not valid Unicode") from None
        except TypeError:  # a text or number of somebody's own type: slower, and the same bytes
            names = ("after", "before", "outcome", "parameters", "target")
            parts = {name: part(getattr(self, name)) for name in names}
            return _encode(msgspec.structs.replace(self, **parts))


def parse(data: bytes) -> Body:
    """Read a body; raises NotCanonical unless these are its canonical bytes."""
    if data.isascii():  # and so are the keys
        try:
            usual = _decode_usual(data)
        except msgspec.MsgspecError:
            pass  # what is wrong, or merely deep, is found below
        else:
            if _encode(usual) == data:
                return usual
    try:
        body = _decoder.decode(data)
        again = _encode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotCanonical("not a body of version 1") from None
    if again != data:
        raise NotCanonical("a body, but not in its canonical form")
    for part in (body.parameters, body.before, body.after):
        if part:
            canonical.check(part)
    return body
