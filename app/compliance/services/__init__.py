"""Every change in compliance, and every look that is recorded as one."""

from app.compliance.services.calls import look_at_call, look_at_calls
from app.compliance.services.downloads import Download, go_on_with_download, open_download
from app.compliance.services.erasures import (
    approve_erasure,
    preview_erasure,
    refuse_erasure,
    request_erasure,
    withdraw_erasure,
)
from app.compliance.services.holds import ask_release, keep_hold, place_hold, release_hold
from app.compliance.services.looks import conversation_names, look_at_entry, look_at_trail
from app.compliance.services.readings import (
    conversation_list,
    open_conversation,
    open_file,
    read_page,
)
from app.compliance.services.requests import (
    Preview,
    approve_export,
    preview_export,
    refuse_export,
    request_export,
    withdraw_export,
)

__all__ = [
    "Download",
    "Preview",
    "approve_erasure",
    "approve_export",
    "ask_release",
    "conversation_list",
    "conversation_names",
    "go_on_with_download",
    "keep_hold",
    "look_at_call",
    "look_at_calls",
    "look_at_entry",
    "look_at_trail",
    "open_conversation",
    "open_download",
    "open_file",
    "place_hold",
    "preview_erasure",
    "preview_export",
    "read_page",
    "refuse_erasure",
    "refuse_export",
    "release_hold",
    "request_erasure",
    "request_export",
    "withdraw_erasure",
    "withdraw_export",
]
