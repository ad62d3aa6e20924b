"""The catalogue of actions, made from the one enum: `python -m app.audit.catalogue`.

Writes docs/actions.md, or with `--check` compares. An action's meaning is the line under it in
`actions.py`; who can cause it is here. Pure.
"""

import ast
import itertools
import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from app.audit import actions
from app.audit.actions import Action

PAGE = Path(__file__).resolve().parents[2] / "docs" / "actions.md"


class Cause(StrEnum):
    """Who can cause an entry."""

    ANYBODY = "anybody, also not signed in"
    MEMBER = "anyone of the organization"
    OFFICER = "an officer"
    ADMINISTRATOR = "an administrator"
    OPERATOR = "whoever operates Parley"
    SYSTEM = "Parley itself"


_BY_SUBJECT: Mapping[str, tuple[Cause, ...]] = {
    "row": (Cause.ANYBODY, Cause.OPERATOR, Cause.SYSTEM),
    "log": (Cause.SYSTEM, Cause.OPERATOR),
    "content": (Cause.SYSTEM, Cause.OPERATOR),
    "organization": (Cause.OPERATOR,),
    "user": (Cause.ADMINISTRATOR, Cause.OPERATOR),
    "invitation": (Cause.ADMINISTRATOR,),
    "session": (Cause.ANYBODY,),
    "token": (Cause.ANYBODY,),
    "access": (Cause.MEMBER,),
    "data_key": (Cause.OPERATOR, Cause.SYSTEM),
    "key_encryption_key": (Cause.OPERATOR, Cause.SYSTEM),
    "conversation": (Cause.MEMBER,),
    "member": (Cause.MEMBER,),
    "message": (Cause.MEMBER,),
    "reaction": (Cause.MEMBER,),
    "attachment": (Cause.MEMBER,),
    "call": (Cause.MEMBER,),
    "search": (Cause.MEMBER,),
    "trail": (Cause.OFFICER,),
    "names": (Cause.OFFICER,),
    "export": (Cause.OFFICER,),
    "hold": (Cause.OFFICER,),
    "erasure": (Cause.OFFICER,),
}
# Those that differ from their subject.
_BY_ACTION: Mapping[Action, tuple[Cause, ...]] = {
    Action.LOG_HEARTBEAT: (Cause.SYSTEM,),
    Action.USER_CREATED: (Cause.ANYBODY, Cause.OPERATOR),
    Action.USER_CHANGED: (Cause.MEMBER,),
    Action.USER_PASSWORD_CHANGED: (Cause.MEMBER,),
    Action.INVITATION_ACCEPTED: (Cause.ANYBODY,),
    Action.INVITATION_REFUSED: (Cause.ANYBODY,),
    Action.SESSION_ENDED: (Cause.MEMBER, Cause.ADMINISTRATOR, Cause.SYSTEM),
    Action.DATA_KEY_CREATED: (Cause.SYSTEM,),
    Action.TRAIL_FED: (Cause.SYSTEM, Cause.OPERATOR),
    Action.MESSAGE_DISCLOSED: (Cause.OFFICER,),
    Action.CONVERSATION_OPENED: (Cause.OFFICER,),
    Action.SEARCH_PERFORMED: (Cause.OFFICER,),
    Action.EXPORT_BUILT: (Cause.SYSTEM,),
    Action.EXPORT_FAILED: (Cause.SYSTEM,),
    Action.EXPORT_DELETED: (Cause.SYSTEM,),
    Action.ERASURE_DONE: (Cause.SYSTEM,),
    Action.ERASURE_STOPPED: (Cause.SYSTEM,),
    Action.ATTACHMENT_DELETED: (Cause.MEMBER, Cause.SYSTEM),
    Action.ORGANIZATION_CALL_POLICY_CHANGED: (Cause.ADMINISTRATOR,),
    Action.CALL_TOLD: (Cause.ADMINISTRATOR, Cause.OFFICER, Cause.MEMBER),
    Action.CALL_HANDED_OVER: (Cause.MEMBER, Cause.SYSTEM),
    Action.CALL_ENDED: (Cause.MEMBER, Cause.SYSTEM),
    Action.CALL_LEFT: (Cause.MEMBER, Cause.SYSTEM),
}


def causes(action: Action) -> tuple[Cause, ...]:
    """Who can cause it. Raises KeyError for an action of a subject that nobody placed."""
    return _BY_ACTION.get(action) or _BY_SUBJECT[action.value.partition(":")[0]]


def meaning(action: Action) -> str:
    """What an entry of this action says, in a sentence."""
    return _meanings()[action]


@cache
def _meanings() -> Mapping[Action, str]:
    """The line under each member of the enum, which Python itself does not keep."""
    module = ast.parse(Path(actions.__file__).read_text())
    (body,) = (n.body for n in module.body if isinstance(n, ast.ClassDef) and n.name == "Action")
    return {
        Action[node.targets[0].id]: " ".join(str(after.value.value).split())
        for node, after in itertools.pairwise(body)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }


def page() -> str:
    """docs/actions.md. Raises KeyError for an action without a meaning or without a cause."""
    lines = [
        "# Every action of the trail",
        "",
        "Made from `app/audit/actions.py` by `python -m app.audit.catalogue`: do not edit. A name "
        "is never changed and never reused, because it is inside signed history.",
        "",
        f"{len(Action)} actions. **Grave** ones are answered only when their entry is under a "
        "signed checkpoint; **shows** marks a privileged look, for which nothing is shown before.",
    ]
    for subject, members in itertools.groupby(
        sorted(Action, key=_subject_first_named), key=_subject
    ):
        lines += ["", f"## {subject}", "", "| action | an entry says | who can cause it | grave |"]
        lines += ["|---|---|---|---|", *map(_row, members)]
    return "\n".join(lines) + "\n"


def _subject(action: Action) -> str:
    return action.value.partition(":")[0]


def _subject_first_named(action: Action) -> int:
    """Subjects in the order of the enum, each in one place."""
    return [_subject(other) for other in Action].index(_subject(action))


def _row(action: Action) -> str:
    grave = "shows" if action.is_disclosure else "grave" if action.is_grave else ""
    return f"| `{action}` | {meaning(action)} | {'; '.join(causes(action))} | {grave} |"


def main(arguments: list[str]) -> int:
    """Return the exit status: 1 if `--check` finds another page than the committed one."""
    text = page()
    if "--check" in arguments:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        print("docs/actions.md is not the catalogue: python -m app.audit.catalogue")
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
