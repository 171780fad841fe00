"""How long a request waits for a server that may never answer, by what it asks of it.

Nobody waits longer; what was asked goes on in its thread, which can't be cancelled.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from seeder.errors import UserError

#: A whole answer, of what reads and of what changes something.
ANSWER_SECONDS = 20.0

#: A snapshot of all jobs. A database that is silent, or locked, must not look like one in which nothing
#: happens.
SNAPSHOT_SECONDS = 10.0

#: The reporting database and Redis, for /readyz: a server that takes longer isn't ready for seeder either.
READINESS_SECONDS = 3.0

#: A part of a job's page: what another database has to say, or Redis.
PART_SECONDS = 2.0

#: Who holds the record's locks, for a page or an answer that says why it is late.
HOLDERS_SECONDS = 1.5

Made = TypeVar("Made")


async def in_time(asked: Awaitable[Made], seconds: float, late: UserError) -> Made:
    """What was asked for, unless it takes longer: then ``late`` is raised."""
    asking = asyncio.ensure_future(asked)
    # Whoever waited may have gone before it fails.
    asking.add_done_callback(lambda one: one.cancelled() or one.exception())
    done, _ = await asyncio.wait({asking}, timeout=max(0.0, seconds))
    if not done:
        raise late
    return asking.result()
