"""The loop in each gateway process that sweeps the rooms; of all of them one does, each time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from random import SystemRandom
from typing import Any

from app.voice import services

logger = logging.getLogger(__name__)

SECONDS = (1.5, 2.5)


async def run(in_thread: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Sweep until cancelled; whatever fails is tried again the next time."""
    while True:
        await asyncio.sleep(SystemRandom().uniform(*SECONDS))
        try:
            await in_thread(services.sweep)
        except Exception as error:
            logger.warning("sweep_failed", extra={"error": type(error).__name__})
