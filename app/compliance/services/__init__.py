"""Every change in compliance, and every look that is recorded as one."""

from app.compliance.services.downloads import Download, open_download
from app.compliance.services.looks import conversation_names, look_at_entry, look_at_trail
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
    "approve_export",
    "conversation_names",
    "look_at_entry",
    "look_at_trail",
    "open_download",
    "preview_export",
    "refuse_export",
    "request_export",
    "withdraw_export",
]
