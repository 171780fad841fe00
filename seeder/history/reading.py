"""Read runs and jobs from the record: single ones, those of a table, those that haven't ended."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from seeder.history import queries
from seeder.history.rows import Job, Run
from seeder.history.statements import Statements
from seeder.postgres.databases import Databases
from seeder.postgres.failures import expecting_contract
from seeder.postgres.session import Session

#: How many runs say how many go side by side.
RECENT_RUNS = 1_000


class RecordReader:
    """The reading half of HistoryRepository."""

    def __init__(self, databases: Databases, schema: str) -> None:
        self._databases = databases
        #: Called with the constant of a statement of seeder.history, it gives the text.
        self.sql = Statements(schema)

    def run(self, run_id: str, session: Session | None = None) -> Run | None:
        """One run, or None where nothing of that id was ever recorded."""
        with self.using(session) as open_session:
            row = open_session.row(self.sql(queries.ONE_RUN), run_id=run_id)
        return row and Run(**row._asdict())

    def runs_of_table(self, table_name: str, limit: int = 20) -> list[Run]:
        """A table's newest runs, newest first."""
        return self._runs(queries.RUNS_OF_TABLE, table_name=table_name, limit=limit)

    def recorded(self, seeding_ids: Iterable[str]) -> tuple[bool, datetime | None]:
        """Whether any of the seedings has a run, and when the oldest run still known was recorded."""
        with self.using(None) as session:
            row = session.row(self.sql(queries.RECORDED), seeding_ids=list(seeding_ids))
        return row.recorded, row.first_record

    def waited_at(self, tick: datetime, table_names: Iterable[str]) -> set[tuple[str, int]]:
        """report_type and manifest_id of those whose run of an earlier tick was still to begin then."""
        with self.using(None) as session:
            found = session.rows(
                self.sql(queries.WAITED_AT), tick=tick, tables=list(table_names), days=queries.WINDOW_DAYS
            )
        return {(row.report_type, row.manifest_id) for row in found}

    def ended(self, run_ids: Iterable[str]) -> list[Run]:
        """Those of the runs that are terminal."""
        return self._runs(queries.ENDED, run_ids=list(run_ids))

    def still_pending(self, run_ids: Iterable[str]) -> set[str]:
        """Those of the runs that wait to be taken by a worker."""
        with self.using(None) as session:
            return {
                row.run_id for row in session.rows(self.sql(queries.STILL_PENDING), run_ids=list(run_ids))
            }

    def unfinished(self, *, days: int, quiet_seconds: float) -> list[Run]:
        """Pending and running rows of the last days that nobody has written for that long."""
        return self._runs(queries.UNFINISHED, days=days, quiet_seconds=quiet_seconds)

    def unfinished_of_table(self, table_name: str) -> list[Run]:
        """A table's pending and running runs, oldest first."""
        return self._runs(queries.UNFINISHED_OF_TABLE, table_name=table_name)

    def at_work_for(self, run_ids: Iterable[str]) -> dict[str, float]:
        """For how many seconds those of the runs have been at work that are."""
        with self.using(None) as session:
            found = session.rows(self.sql(queries.AT_WORK_FOR), run_ids=list(run_ids))
        return {row.run_id: row.seconds for row in found}

    def side_by_side(self) -> int:
        """How many runs were at work at once at most, lately; 0 where there is no success."""
        with self.using(None) as session:
            return int(session.row(self.sql(queries.SIDE_BY_SIDE), runs=RECENT_RUNS).most)

    def usual_seconds(self) -> dict[str, float]:
        """table_name → how long its runs usually take, in seconds."""
        with self.using(None) as session:
            return {row.table_name: row.seconds for row in session.rows(self.sql(queries.USUAL_SECONDS))}

    def jobs(
        self, *, agency_slug: str | None = None, report_type: str | None = None, table_name: str | None = None
    ) -> list[Job]:
        """One row per manifest with its latest status, never-run ones included."""
        with self.using(None) as session:
            found = session.rows(
                self.sql(queries.JOBS),
                agency_slug=agency_slug,
                report_type=report_type,
                table_name=table_name,
            )
        return [Job(**row._asdict()) for row in found]

    def _runs(self, statement: str, **values: Any) -> list[Run]:
        with self.using(None) as session:
            return [Run(**row._asdict()) for row in session.rows(self.sql(statement), **values)]

    @contextmanager
    def using(self, session: Session | None) -> Iterator[Session]:
        """The caller's session, or one of its own for the length of the block."""
        with expecting_contract():
            if session is not None:
                yield session
            else:
                with self._databases.session() as own:
                    yield own
