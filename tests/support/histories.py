"""Random histories of a shop: what people and accidents do to it between seedings and during them."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg2
from support.dumps import plain, run
from support.homes import ask_postgres, gone
from support.processes import wait_until
from support.shop import AWAY, READS, REPORTS, SCHEMA, STEPS, UNFINISHED, ZONE
from support.stillness import Reports

from seeder.embedded.server import Server
from seeder.matviews import upkeep
from seeder.matviews.freshness.audit import difference
from seeder.matviews.freshness.unchanged import decisions

FLUSH = "select pg_stat_force_next_flush()"

WAITS = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"

#: Of 100 steps, by their turn among them: accidents of the whole server are slow.
DUMPED, KILLED, RESTARTED, CREPT, BEGUN = 2, 4, 6, 12, 24


@dataclass
class History:
    reports: Reports
    server: Server
    programs: Path
    chance: random.Random
    told: list[str] = field(default_factory=list)
    #: Decided as unchanged: by the look at all together, or by a run's own.
    skipped: int = 0
    #: Done in between, those that were possible.
    steps: int = 0
    unfinished: list[Callable[[], object]] = field(default_factory=list)

    def begin(self) -> None:
        self.reports.bench.sql(SCHEMA)
        self.reports.tell()
        names = set(self.chance.sample(list(REPORTS), 5))
        while below := set().union(*(READS.get(name, ()) for name in names)) - names:
            names |= below
        for number, (name, query) in enumerate(REPORTS.items(), 1):
            if name in names:
                self.reports.made[name] = self.reports.bench.manifest(query, name, manifest_id=number)

    def end(self) -> None:
        self.finish()
        bench = self.reports.bench
        bench.sql(ZONE.format(change="reset timezone"))
        bench.sql(AWAY)
        bench.platform.close()

    # --- a seeding ------------------------------------------------------------------------------------

    def seeding(self) -> None:
        """As the fan-out and then the runs decide; what either says of a report must be so."""
        refreshed: set[str] = set()
        unchanged = self._decided()
        for name in unchanged:
            self._check(name, "told as unchanged")
        for name in self.reports.made:
            if name in unchanged and not READS.get(name, set()) & refreshed and self.chance.random() < 0.5:
                continue
            if self.chance.random() < 0.06:
                self._overtaken(name)
            else:
                self._run(name)
                self._check(name, "run")
            if not self.told[-1].endswith("unchanged"):
                refreshed.add(name)

    def _decided(self) -> list[str]:
        made = self.reports.made
        policy = self.reports.policy()
        asked = [(one, policy.of_manifest(one.directives)) for one in made.values()]
        with self.reports.bench.platform.databases.session() as session:
            decided = decisions(session, asked, policy.limits.search_path)
        unchanged = [name for name, one in made.items() if decided[one.identity].unchanged]
        self.skipped += len(unchanged)
        return unchanged

    def _run(self, name: str) -> None:
        outcome = str(self.reports.refresh(name).outcome)
        self.skipped += outcome == "unchanged"
        self.told.append(f"{name} {outcome}")

    def _overtaken(self, name: str) -> None:
        """Somebody writes between a refresh's rows and its end: the next seeding must see that."""
        real = upkeep.refresh

        def refresh(*arguments: Any) -> Any:
            done = real(*arguments)
            self._do("insert into shop.orders values (40, 4, 'paid', 'late')")
            return done

        with patch.object(upkeep, "refresh", refresh):
            self._run(name)
        self.told[-1] += ", overtaken"

    def _check(self, name: str, how: str) -> None:
        with self.reports.bench.platform.databases.session() as session:
            found = difference(session, self.reports.made[name], self.reports.policy())
        assert not found, (name, how, str(found), self.told)

    # --- what happens in between ------------------------------------------------------------------------

    def step(self) -> None:
        number = self.chance.randrange(100)
        self.steps += 1
        try:
            if number < DUMPED:
                self.dump_and_restore()
            elif number < KILLED:
                self.kill_a_backend()
            elif number < RESTARTED:
                self.restart()
            elif number < CREPT:
                self.creep()
            elif number < BEGUN:
                self.begin_something(*self.chance.choice(UNFINISHED))
            else:
                self._do(self.chance.choice(STEPS))
        except psycopg2.Error as error:
            # It isn't possible as things are.
            self.steps -= 1
            self.told.append(f"not possible: {type(error).__name__}")

    def finish(self) -> None:
        """What was begun."""
        while self.unfinished:
            self.unfinished.pop(0)()

    def _do(self, statements: str) -> None:
        with self._person() as person:
            _execute(person, statements)
        self.told.append(statements)
        if "alter database" in statements:
            self.reports.bench.platform.databases.dispose()

    @contextmanager
    def _person(self) -> Iterator[Any]:
        """A session that has told of all that it wrote when it ends, and waits for nobody."""
        connection = psycopg2.connect(plain(self.reports.bench.platform.url))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("set lock_timeout = '300ms'")
                yield cursor
                cursor.execute(FLUSH)
        finally:
            connection.close()

    def begin_something(self, first: str, last: str) -> None:
        connection = psycopg2.connect(plain(self.reports.bench.platform.url))
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("set lock_timeout = '300ms'")

        def finish() -> None:
            try:
                _execute(cursor, last)
                cursor.execute(FLUSH)
                self.told.append(last)
            except psycopg2.Error as error:
                self.told.append(f"not possible: {last}: {type(error).__name__}")
            connection.close()

        try:
            _execute(cursor, first)
        except psycopg2.Error:
            connection.close()
            raise
        self.told.append(first)
        self.unfinished.append(finish)

    def creep(self) -> None:
        """A procedure that has committed a row, of which no counter tells before it ends."""
        bench = self.reports.bench
        holder = psycopg2.connect(plain(bench.platform.url))
        with holder.cursor() as cursor:
            cursor.execute("select pg_try_advisory_lock(17)")
            is_alone = cursor.fetchone() == (True,)
        holder.commit()
        if not is_alone:
            holder.close()
            self.steps -= 1
            return
        worker = threading.Thread(target=self._creep)
        worker.start()

        def finish() -> None:
            holder.close()
            worker.join()
            self.told.append("the procedure ends")

        self.unfinished.append(finish)
        wait_until("the procedure waits", lambda: not worker.is_alive() or bench.value(WAITS))

    def _creep(self) -> None:
        try:
            self._do("call shop.creep(true)")
        except psycopg2.Error as error:
            self.told.append(f"not possible: call shop.creep(true): {type(error).__name__}")

    def dump_and_restore(self) -> None:
        self.finish()
        url = plain(self.reports.bench.platform.url)
        dump = run(self.programs, "pg_dump", "--clean", "--if-exists", "--restrict-key=x", "--dbname", url)
        run(self.programs, "psql", "--quiet", "--no-psqlrc", "--dbname", url, given=dump)
        self.told.append("dumped and restored")

    def kill_a_backend(self) -> None:
        self._settle()
        url = plain(self.reports.bench.platform.url)
        victim, witness = psycopg2.connect(url), psycopg2.connect(url)
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        # All others are ended for it.
        wait_until("the crash is noticed", lambda: not _is_alive(witness))
        victim.close()
        witness.close()
        self._back("a backend was killed")

    def restart(self) -> None:
        self._settle()
        pid = self.server.pid
        os.kill(pid, self.chance.choice([signal.SIGINT, signal.SIGQUIT]))
        assert gone(pid, within=30)
        self._back("restarted")

    def _settle(self) -> None:
        """Before the server goes. Without a checkpoint it replays all histories since the last one, which
        took more than half a minute after 70."""
        self.finish()
        self.reports.bench.sql("checkpoint")

    def _back(self, what: str) -> None:
        self.reports.bench.platform.close()
        wait_until("PostgreSQL answers again", lambda: _answers(self.reports.bench.platform.url))
        self.told.append(what)


def _execute(cursor: Any, statements: str) -> None:
    """One after the other, since some go alone only; but not what a DO block is made of."""
    for statement in [statements] if "$$" in statements else statements.split("; "):
        cursor.execute(statement)


def _is_alive(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except psycopg2.Error:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        return bool(ask_postgres(url))
    except psycopg2.OperationalError:
        return False
