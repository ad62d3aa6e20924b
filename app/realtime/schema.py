"""Writes the protocol's JSON Schema to `docs/protocol.schema.json`, or checks that it is there.

`python -m app.realtime.schema` writes, `--check` compares: a change shows in review.
"""

import json
import sys
from pathlib import Path

from app.realtime.protocol import schema

PATH = Path(__file__).resolve().parents[2] / "docs" / "protocol.schema.json"


def main(arguments: list[str]) -> int:
    """Return the exit status: 1 if `--check` finds another schema than the committed one."""
    text = json.dumps(schema(), indent=1, sort_keys=True) + "\n"
    if "--check" in arguments:
        if PATH.exists() and PATH.read_text() == text:
            return 0
        print("docs/protocol.schema.json is not the protocol's: python -m app.realtime.schema")
        return 1
    PATH.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
