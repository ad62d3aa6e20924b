"""Previews of pictures, made by `picture.py` in a process of its own, two at a time."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from threading import BoundedSemaphore
from typing import NamedTuple

from app.chat.attachments.description import Picture

logger = logging.getLogger(__name__)

TYPE = "image/webp"
MAX_SOURCE_BYTES = 25 * 1024 * 1024
_PROGRAM = Path(__file__).with_name("picture.py")
_SECONDS = 20  # by the clock; its processor time is limited by itself
_at_once = BoundedSemaphore(2)


class Preview(NamedTuple):
    """`picture` tells of the original, `content` is the small image (WebP)."""

    picture: Picture
    content: bytes


def preview_of(content: bytes) -> Preview | None:
    """A small image without metadata; None where there is none to be had of this file."""
    with _at_once:
        try:
            # An empty environment: it holds our secrets.
            done = subprocess.run(  # noqa: S603 - our own program, no arguments
                [sys.executable, "-I", str(_PROGRAM)],
                input=content,
                capture_output=True,
                timeout=_SECONDS,
                env={},
                cwd="/",
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            logger.warning("preview_failed", extra={"error": type(error).__name__})
            return None
    if done.returncode:
        # Not what it wrote to stderr: that may quote the file.
        logger.info("preview_refused", extra={"exit": done.returncode})
        return None
    head, _, small = done.stdout.partition(b"\n")
    return Preview(Picture(**json.loads(head)), small)
