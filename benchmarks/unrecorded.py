"""``celery -A benchmarks.unrecorded worker``: Celery as seeder has it set, with a task that refreshes a
matview and records nothing. Seeder can't be faster than this.

An entry point, so it acts at import. The database is SEEDER_DATABASE_URL, the broker SEEDER_BROKER_URL.
"""

import threading

from celery import Celery

from benchmarks.arena import connect
from seeder.app import celery_settings
from seeder.config.settings import current_settings

NAME = "benchmarks.unrecorded"

_settings = current_settings()
_broker_url, _database_url = _settings.broker_url, _settings.database_url
assert _broker_url
assert _database_url

app = Celery(NAME)
app.conf.update(celery_settings(_settings, _broker_url))
# Its own queue, and of what seeder adds to a worker only the pool: Celery's would take 4 views a second.
app.conf.update(
    task_queues=None, task_routes=None, beat_schedule={}, task_default_queue=NAME,
    worker_consumer="celery.worker.consumer:Consumer",
)  # fmt: skip


class _Seeding:
    """How many refreshes of the latest seeding are left, and each thread's own connection."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.left = 0
        self.own = threading.local()

    def execute(self, sql: str) -> None:
        if not hasattr(self.own, "connection"):
            self.own.connection = connect(str(_database_url), NAME)
        with self.own.connection.cursor() as cursor:
            cursor.execute(sql)

    def one_less(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left == 0


_seeding = _Seeding()


@app.task(name=f"{NAME}.refresh")
def refresh(matview: str) -> None:
    _seeding.execute(f"refresh materialized view {matview}")
    if _seeding.one_less():
        _seeding.execute("insert into public.unrecorded_end select clock_timestamp()")


@app.task(name=f"{NAME}.refresh_all")
def refresh_all(matviews: list[str]) -> None:
    _seeding.left = len(matviews)
    with app.producer_or_acquire() as producer, producer.batch():
        for matview in matviews:
            refresh.apply_async((matview,), producer=producer)
