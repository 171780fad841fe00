"""Does to the programs and servers what a fault says. Only processes that this one started are signalled."""

import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg2
from redis import Redis

from chaos import foreign
from chaos.faults import Fault, Kind
from chaos.place import Kin, Place, kept_by
from chaos.reports import Report
from seeder.broker.queues import RUN_PRIORITIES, TASK
from seeder.embedded.server import Server
from seeder.runs.waiting import TROUBLE

One = TypeVar("One")

AT_WORK = """
select pid, application_name from pg_stat_activity
where application_name like 'seeder %' and state = 'active' order by pid
"""

#: With no other transaction around, too; it is a pause before the disk is waited for, if that is done at all
#: (https://www.postgresql.org/docs/18/runtime-config-wal.html#GUC-COMMIT-DELAY).
SLOWER = (
    "alter system set fsync = on",
    "alter system set commit_siblings = 0",
    "alter system set commit_delay = 100000",
    "select pg_reload_conf()",
)
AS_FAST_AS_BEFORE = (
    "alter system reset commit_delay",
    "alter system set fsync = off",
    "select pg_reload_conf()",
)

RUNNING = "select run_id, manifest_id, table_name from reporting.seeder_run_history where status = 'running'"

REWRITE = "update reporting.seeder_custom_report_manifest set query = %s where id = %s"

#: Manifests of which the SQL is changed at a time.
REWRITTEN_AT_ONCE = 10

GONE_SECONDS = 30.0


class Injector:
    """``done`` tells when what was hit; what lasts is ended by ``end_what_is_over``."""

    def __init__(self, place: Place, reports: Sequence[Report]) -> None:
        self._place = place
        self._reports = reports
        self._lasting: list[tuple[float, Callable[[], None]]] = []
        self._away: set[str] = set()
        self.done: list[tuple[datetime, Kind, str]] = []

    def inject(self, fault: Fault) -> str | None:
        """What was hit; None where nothing can be: everybody is at rest, or dead already."""
        at = datetime.now(UTC)
        with suppress(psutil.NoSuchProcess, psycopg2.Error, *TROUBLE):
            if hit := self._inject(fault):
                self.done.append((at, fault.kind, hit))
                return hit
        return None

    def end_what_is_over(self, *, everything: bool = False) -> None:
        now = time.monotonic()
        over = [one for one in self._lasting if everything or one[0] <= now]
        self._lasting = [one for one in self._lasting if one not in over]
        for ends_at, end in over:
            try:
                end()
            except psycopg2.Error:
                # PostgreSQL is away just now.
                self._lasting.append((ends_at, end))

    @property
    def lasting(self) -> bool:
        return bool(self._lasting)

    def _inject(self, fault: Fault) -> str | None:
        place = self._place
        match fault.kind:
            case Kind.POOL_PROCESS:
                return self._killed(
                    [(one.name, process) for one in place.workers for process in one.pool()], fault
                )
            case Kind.WORKER:
                return self._killed(_mains(place.workers), fault)
            case Kind.BEAT:
                return self._killed(_mains(place.beats), fault)
            case Kind.BACKEND:
                if backend := _chosen(place.sql(AT_WORK), fault.choice):
                    place.sql("select pg_terminate_backend(%s)", backend.pid)
                return backend and f"{backend.application_name} (pid {backend.pid})"
            case Kind.BACKEND_KILLED:
                backends = place.sql(AT_WORK)
                return self._killed(
                    [(one.application_name, psutil.Process(one.pid)) for one in backends], fault
                )
            case Kind.POSTGRES:
                return self._sent_away(place.postgres, signal.SIGQUIT, fault.lasting)
            case Kind.REDIS:
                return self._sent_away(place.redis, signal.SIGKILL, fault.lasting)
            case Kind.REDIS_EMPTIED:
                return self._sent_away(
                    place.redis, signal.SIGKILL, fault.lasting, lose=place.redis.folder / "appendonlydir"
                )
            case Kind.STOPPED:
                return self._stopped(fault)
            case Kind.SILENT_POSTGRES | Kind.SILENT_REDIS:
                way = place.ways["postgres" if fault.kind == Kind.SILENT_POSTGRES else "redis"]
                if connection := way.silence(fault.choice):
                    self._for(fault.lasting, lambda: way.end(connection))
                return connection and f"for {fault.lasting:.0f} s"
            case Kind.SLOW_DISK:
                self._for(fault.lasting, lambda: self._run(AS_FAST_AS_BEFORE))
                self._run(SLOWER)
                return f"for {fault.lasting:.0f} s"
            case Kind.TWICE:
                return self._sent_again()
            case Kind.REWRITTEN:
                return self._rewritten(random.Random(fault.choice))
            case Kind.HELD_ROW:
                return self._begun(foreign.hold_row(place, fault.choice), fault.lasting)
            case Kind.GRANTED:
                return self._begun(foreign.grant_everything(place), fault.lasting)
            case Kind.READ_ONLY:
                return self._begun(foreign.read_only(place), fault.lasting)
            case Kind.DEMOTED:
                return self._demoted(fault.lasting)
            case Kind.REVIVED:
                return self._stopped(fault, at_work=True)

    def _for(self, seconds: float, end: Callable[[], None]) -> None:
        self._lasting.append((time.monotonic() + seconds, end))

    def _begun(self, begun: tuple[str, Callable[[], None]] | None, seconds: float) -> str | None:
        if begun is None:
            return None
        what, end = begun
        self._for(seconds, end)
        return f"{what} for {seconds:.0f} s"

    def _demoted(self, seconds: float) -> str:
        """Replica of a primary that isn't there: what it holds stays, and it takes no writes."""

        def promote() -> None:
            # If it is away just now it comes back as a primary: nothing of this is written to its
            # configuration.
            with suppress(*TROUBLE), Redis.from_url(self._place.redis.url) as client:
                client.execute_command("REPLICAOF", "NO", "ONE")

        with Redis.from_url(self._place.redis.url) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
        self._for(seconds, promote)
        return f"for {seconds:.0f} s"

    def _run(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._place.sql(statement)

    def _killed(self, candidates: list[tuple[str, psutil.Process]], fault: Fault) -> str | None:
        chosen = _chosen(candidates, fault.choice)
        if chosen is None:
            return None
        name, process = chosen
        process.kill()
        return f"{name} (pid {process.pid})"

    def _sent_away(
        self, server: Server, how: signal.Signals, seconds: float, lose: Path | None = None
    ) -> str | None:
        """Its keeper would start it again at once, so that sleeps meanwhile."""
        process = kept_by(server.keeper)
        if process is None or server.name in self._away:
            return None
        keeper = psutil.Process(server.keeper)

        def back() -> None:
            self._away.discard(server.name)
            keeper.resume()

        self._away.add(server.name)
        self._for(seconds, back)
        keeper.suspend()
        process.send_signal(how)
        deadline = time.monotonic() + GONE_SECONDS
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.02)
        if lose:
            shutil.rmtree(lose, ignore_errors=True)
        return f"away for {seconds:.1f} s"

    def _stopped(self, fault: Fault, *, at_work: bool = False) -> str | None:
        """``at_work``: a worker, in the middle of its runs, whose backends go meanwhile."""
        if at_work and not self._place.sql(AT_WORK):
            return None
        beats = [] if at_work else self._place.beats
        chosen = _chosen([*self._place.workers, *beats], fault.choice)
        main = chosen and chosen.main()
        if chosen is None or main is None:
            return None
        family = [main, *chosen.pool()]

        def resume() -> None:
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

        self._for(fault.lasting, resume)
        for process in family:
            process.suspend()
        if at_work:
            # Those of the other workers too: through the ways nobody can tell whose is whose.
            self._place.sql(f"select pg_terminate_backend(pid) from ({AT_WORK}) as at_work")
        return f"{chosen.name} for {fault.lasting:.0f} s"

    def _sent_again(self) -> str | None:
        """As kombu does with what a worker took and didn't acknowledge, late or wrongly."""
        running = self._place.sql(RUNNING)
        for run in running:
            self._place.app.send_task(
                TASK,
                kwargs={
                    "report_type": "custom",
                    "manifest_id": run.manifest_id,
                    "table_name": run.table_name,
                },
                task_id=run.run_id,
                priority=RUN_PRIORITIES[0],
            )
        return ", ".join(run.run_id for run in running) or None

    def _rewritten(self, chance: random.Random) -> str:
        chosen = chance.sample(self._reports, min(REWRITTEN_AT_ONCE, len(self._reports)))
        version = chance.randint(1, 1_000_000)
        for report in chosen:
            self._place.sql(REWRITE, report.query(version), report.number)
        return ", ".join(report.table_name for report in chosen)


def _mains(kin: Sequence[Kin]) -> list[tuple[str, psutil.Process]]:
    return [(one.name, main) for one in kin if (main := one.main())]


def _chosen(candidates: Sequence[One], choice: float) -> One | None:
    return candidates[int(choice * len(candidates))] if candidates else None
