"""Checks whether the servers that seeder needs answer. The result is public: it never says where they are."""

import asyncio
import time
from collections.abc import Callable

import structlog
from celery import Celery
from starlette.concurrency import run_in_threadpool

from seeder.broker.client import redis
from seeder.equipment import Equipment
from seeder.models import contract
from seeder.postgres.failures import one_line
from seeder.schema.dashboard import VIEW
from seeder.sql.names import quoted
from seeder.web.live.timeouts import READINESS_SECONDS
from seeder.web.wire.health import Ready

log = structlog.get_logger(__name__)

#: Whoever asks more often is told the last answer again.
KEPT_SECONDS = 1.0

OK = "ok"

MISSING = """
select relation from unnest(%(relations)s) as relation where to_regclass(relation) is null
"""


class Readiness:
    """Asks the database, the broker and the schema, one look at a time."""

    def __init__(self, equipment: Equipment, celery: Celery) -> None:
        self._equipment = equipment
        self._celery = celery
        self._one_look = asyncio.Lock()
        self._kept: tuple[float, Ready] | None = None

    async def state(self) -> Ready:
        async with self._one_look:
            if self._kept is None or time.monotonic() - self._kept[0] > KEPT_SECONDS:
                self._kept = (time.monotonic(), await self._asked_all())
            return self._kept[1]

    async def _asked_all(self) -> Ready:
        schema, broker = await asyncio.gather(
            _asked("database", self._schema), _asked("broker", self._broker)
        )
        reached = schema == OK or schema.startswith(_LACKS)
        return Ready(
            ready=schema == broker == OK,
            database=OK if reached else schema,
            broker=broker,
            schema_=schema if reached else "unknown",
        )

    def _schema(self) -> str:
        schema = self._equipment.settings.db_schema
        names = [*(table.name for table in contract(schema).metadata.tables.values()), VIEW]
        relations = [f"{quoted(schema)}.{quoted(name)}" for name in names]
        with self._equipment.databases.session() as session:
            missing = session.rows(MISSING, relations=relations)
        return _LACKS + ", ".join(row.relation.replace('"', "") for row in missing) if missing else OK

    def _broker(self) -> str:
        with redis(self._celery) as client:
            client.ping()
        return OK


_LACKS = "lacks "


async def _asked(what: str, ask: Callable[[], str]) -> str:
    try:
        return await asyncio.wait_for(run_in_threadpool(ask), READINESS_SECONDS)
    except TimeoutError:
        return f"no answer within {READINESS_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the part isn't ready
        log.warning("not ready", part=what, reason=one_line(error))
        return "out of reach; the log says why"
