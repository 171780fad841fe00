"""How long a request waits for a database that may never answer."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from seeder.errors import UserError

Made = TypeVar("Made")


async def in_time(asked: Awaitable[Made], seconds: float, late: UserError) -> Made:
    """What was asked for, unless it takes longer: then ``late`` is raised, and the asking goes on, since a
    thread can't be cancelled."""
    asking = asyncio.ensure_future(asked)
    # Whoever waited may have gone before it fails.
    asking.add_done_callback(lambda one: one.cancelled() or one.exception())
    done, _ = await asyncio.wait({asking}, timeout=max(0.0, seconds))
    if not done:
        raise late
    return asking.result()
