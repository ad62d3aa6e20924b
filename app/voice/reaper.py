"""The loops in each gateway process that look after leases: one sweeps the rooms, of all processes
one each time; one tells Redis what it did not hear."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from random import SystemRandom
from typing import Any

from app.voice import services

logger = logging.getLogger(__name__)

SECONDS = (1.5, 2.5)
AGAIN_SECONDS = 0.5


async def run(in_thread: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Sweep until cancelled; whatever fails is tried again the next time."""
    while True:
        await asyncio.sleep(SystemRandom().uniform(*SECONDS))
        try:
            await in_thread(services.sweep)
        except Exception as error:
            logger.warning("sweep_failed", extra={"error": type(error).__name__})


async def say_again(in_thread: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Repeat until cancelled the renewals that came while Redis was away."""
    while True:
        await asyncio.sleep(AGAIN_SECONDS)
        if services.owes():
            try:
                await in_thread(services.say_again)
            except Exception as error:
                logger.warning("renewals_wait", extra={"error": type(error).__name__})
