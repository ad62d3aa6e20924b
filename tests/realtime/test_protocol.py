"""The wire protocol alone: closed models, a committed schema, and no framework."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.realtime import protocol
from app.realtime.schema import PATH

ID = "11111111-1111-4111-8111-111111111111"


def test_a_command_is_a_closed_model() -> None:
    frame = {"id": 7, "op": "send", "d": {"conversation": ID, "id": ID, "body": "hello"}}
    command = protocol.decode(json.dumps(frame))
    assert isinstance(command, protocol.Send)
    assert command.d.body == "hello"
    frame["d"]["colour"] = "red"  # type: ignore[index]
    with pytest.raises(protocol.BadFrame, match="colour"):
        protocol.decode(json.dumps(frame))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8")))
def test_any_bytes_are_a_command_or_a_bad_frame(frame: bytes) -> None:
    try:
        protocol.decode(frame)
    except protocol.BadFrame:
        assert isinstance(protocol.frame_id(frame), int)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


@given(st.sampled_from(["send", "sub", "edit", "react", "read", "connect", "zap"]), json_values)
def test_any_arguments_are_a_command_or_a_bad_frame(op: str, data: object) -> None:
    try:
        protocol.decode(json.dumps({"id": 3, "op": op, "d": data}))
    except protocol.BadFrame:
        assert protocol.frame_id(json.dumps({"id": 3, "op": op, "d": data})) == 3


def test_the_committed_schema_is_the_protocols() -> None:
    assert json.loads(PATH.read_text()) == json.loads(json.dumps(protocol.schema()))


def test_the_protocol_needs_no_framework() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['django', 'channels', 'redis']))\n"
        'from app.realtime import protocol; protocol.decode(b\'{"id": 1, "op": "ping"}\')'
    )
    subprocess.run([sys.executable, "-c", program], check=True)
