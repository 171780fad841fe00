"""Seedings without workers: a test says which run starts, and how it ends."""

from celery import Celery
from redis import Redis
from support.contract import Platform, as_it_is

from seeder.app import celery_settings
from seeder.broker.messages import on_their_way
from seeder.broker.queues import REFRESH_QUEUE
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.history import Figures
from seeder.maintenance.sweep import sweep_and_requeue
from seeder.seedings.fan_out import Seeding, seed
from seeder.seedings.planning import Selection
from seeder.seedings.release import Release


class Night:
    """A platform without workers: a test says how runs end."""

    def __init__(self, platform: Platform, broker_url: str, **settings: str) -> None:
        self.platform = platform
        self.settings = Settings(**settings)  # type: ignore[arg-type]
        self.app = Celery("seeder", set_as_current=False)
        self.app.conf.update(celery_settings(self.settings, broker_url))
        self.equipment = Equipment(self.settings, platform.url)
        self.redis = Redis.from_url(broker_url)
        self._numbers: dict[str, int] = {}

    def report(self, name: str, query: str = "select 1 as one") -> None:
        self._numbers[name] = len(self._numbers) + 1
        self.platform.custom(self._numbers[name], table_name=name, query=query)

    def chain(self, *names: str) -> None:
        """Each reads the one before."""
        for before, name in zip((None, *names), names, strict=False):
            self.report(name, f"select * from {before}" if before else "select 1 as one")

    def seed(self, *names: str) -> Seeding:
        wanted = frozenset(f"custom-{self._numbers[name]}" for name in names) if names else None
        return seed(self.app, self.equipment, Selection(identities=wanted))

    def run_id(self, seeding: Seeding, name: str) -> str:
        return f"{seeding.seeding_id}.custom-{self._numbers[name]}"

    def start(self, seeding: Seeding, name: str) -> None:
        self.equipment.history.start(self.run_id(seeding, name), name)
        self.lose_message(seeding, name)

    def lose_message(self, seeding: Seeding, name: str) -> None:
        """Of a run that is queued."""
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            for step in channel.priority_steps:
                key = channel._q_for_pri(REFRESH_QUEUE, step)
                for text in channel.client.lrange(key, 0, -1):
                    if self.run_id(seeding, name) in text.decode():
                        channel.client.lrem(key, 0, text)

    def end(self, seeding: Seeding, name: str, errors: str | None = None, *, quietly: bool = False) -> None:
        """As a worker would; ``quietly``: which dies in the next moment."""
        self.start(seeding, name)
        history, run_id = self.equipment.history, self.run_id(seeding, name)
        seen = as_it_is(history, run_id)
        if errors is None:
            history.succeed(seen, Figures(1, 8192))
        else:
            history.fail(seen, errors)
        if not quietly:
            Release(self.app, self.equipment).after(run_id)

    def queued(self, seeding: Seeding) -> set[str]:
        """The tables whose message lies in the queue."""
        waiting = Release(self.app, self.equipment).upstreams.every()
        there = on_their_way(self.app, [REFRESH_QUEUE]) - waiting.keys()
        return {name for name in self._numbers if self.run_id(seeding, name) in there}

    def waits(self, seeding: Seeding) -> dict[str, set[str]]:
        """Of each table whose run waits, for which run_ids."""
        every = Release(self.app, self.equipment).upstreams.every()
        return {
            name: set(every[run_id])
            for name in self._numbers
            if (run_id := self.run_id(seeding, name)) in every
        }

    def sweep(self) -> dict[str, int]:
        return sweep_and_requeue(self.app, self.equipment, quiet_seconds=0)

    def run(self, seeding: Seeding, name: str) -> object:
        return self.platform.run(self.run_id(seeding, name))

    def statuses(self, seeding: Seeding) -> dict[str, str]:
        return {
            name: row.status
            for name in self._numbers
            if (row := self.platform.run(self.run_id(seeding, name)))
        }

    def close(self) -> None:
        self.app.close()
        self.equipment.databases.dispose()
        self.redis.close()
