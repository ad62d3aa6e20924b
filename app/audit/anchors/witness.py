"""A C2SP witness: https://c2sp.org/tlog-witness, `add-checkpoint`.

It remembers the largest tree of ours that it signed and signs only what extends it, so two
histories cannot both be shown with its signature. It keeps nothing that could be read back.
"""

import base64
from dataclasses import dataclass
from datetime import timedelta

import requests
from urllib3.exceptions import HTTPError

from app.audit.anchors.anchor import AnchorDisagrees, AnchorFailed, Kept, Submission
from app.audit.checkpoint import BadNote, open_note
from app.audit.cosignature import WitnessKey

_TIMEOUT = (5.0, 15.0)  # seconds: to connect, to wait for an answer
_LARGEST = 16 * 1024  # bytes of an answer
_TRIES = 3  # the witness may tell us its size, and somebody may be faster once
_WHY = {
    400: "it cannot read what we sent",
    403: "it knows another key for this log: give its operator the present vkey",
    404: "it does not know this log: give its operator the log's vkey and origin",
    429: "we asked too often",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str


@dataclass(frozen=True)
class Witness:
    """`url` is its submission prefix; `key` the only one whose cosignatures are believed."""

    url: str
    key: WitnessKey
    every: timedelta

    @property
    def name(self) -> str:
        return self.key.name

    def keep(self, submission: Submission, last: int) -> Kept:
        old = min(last, submission.size)
        for _ in range(_TRIES):
            answer = self._post(request(submission, old))
            if answer.status == 200:
                return Kept(cosigned=self._cosigned(submission.note, answer.text))
            if answer.status != 409:
                raise self._refusal(answer.status, old)
            old = self._other_size(submission, old, answer.text)
        raise AnchorFailed("its size changed while we asked")

    def kept(self, submission: Submission, last: int) -> None:
        """Nothing can be read back; but to be asked again is to be checked again."""
        self.keep(submission, last)

    def _other_size(self, submission: Submission, old: int, told: str) -> int:
        """The size that the witness wants a proof from; raises if there can be no such proof."""
        if not (told.strip().isascii() and told.strip().isdecimal()):
            raise AnchorFailed("it answered 409 without its size")
        held = int(told)
        if held > submission.size:
            message = f"it has signed a tree of {held} leaves, the log has {submission.size} only"
            raise AnchorDisagrees(held, message)
        if held == old == submission.size:
            raise AnchorDisagrees(held, f"it has signed another root for {held} leaves")
        if held == old:
            raise AnchorFailed("it wants the size that we sent")
        return held

    def _refusal(self, status: int, old: int) -> AnchorFailed:
        if status == 422:
            message = f"the log does not extend the tree of {old} leaves that it has signed"
            return AnchorDisagrees(old, message)
        return AnchorFailed(f"it answered {status}: {_WHY.get(status, 'no reason is known')}")

    def _post(self, body: str) -> _Answer:
        try:
            with requests.post(
                f"{self.url.rstrip('/')}/add-checkpoint",
                data=body.encode(),
                headers={"Content-Type": "text/plain; charset=utf-8"},
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = answer.raw.read(_LARGEST + 1, decode_content=True)
                if len(content) > _LARGEST:
                    raise AnchorFailed("its answer is too long")
                return _Answer(answer.status_code, content.decode(errors="replace"))
        except (requests.RequestException, HTTPError, OSError) as error:
            raise AnchorFailed(type(error).__name__) from error

    def _cosigned(self, note: str, lines: str) -> str:
        """The note with the one line that our key's witness signed; others are ignored."""
        for line in lines.splitlines(keepends=True):
            try:
                open_note(note + line, [self.key])
            except BadNote:
                continue
            return note + line
        raise AnchorFailed("its answer holds no valid signature of the key that is configured")


def request(submission: Submission, old: int) -> str:
    """The body of `add-checkpoint`: old size, consistency proof, blank line, checkpoint."""
    proof = submission.prove(old) if old else []
    lines = [f"old {old}", *(base64.b64encode(each).decode() for each in proof)]
    return "\n".join(lines) + "\n\n" + submission.note
