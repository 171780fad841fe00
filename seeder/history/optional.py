"""The history's columns that its owners may leave out: ``note`` and ``attempts``.

Reading takes either table as it is (seeder.history.queries). Writing can't: a statement that names a column
which isn't there fails. So each start of a run says, in the round trip that it takes anyway, which of the
columns are there, and what moves runs later names those. Owners may add or drop them at any moment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from seeder.postgres.session import Session

#: Which of the columns are there, can hold what is written, and may be written by this role.
KEPT = """\
select coalesce(bool_or(attname = 'note' and atttypid in ('text'::regtype, 'varchar'::regtype)), false)
           as keeps_note,
       coalesce(bool_or(attname = 'attempts' and atttypid in ('integer'::regtype, 'bigint'::regtype)), false)
           as keeps_attempts
from pg_catalog.pg_attribute
where attrelid = {history_name}::regclass and attname in ('note', 'attempts') and not attisdropped
  and attgenerated = '' and has_column_privilege(attrelid, attnum, 'update')"""

#: In an UPDATE of the history. However often it is said, a number of tries counts once, and never down.
SET_NOTE = "note = %(note)s,"
SET_ATTEMPTS = "attempts = greatest(attempts, %(attempts)s::integer),"


@dataclass(frozen=True)
class Kept:
    """Which of the columns a statement writes."""

    note: bool
    attempts: bool

    def pieces(self) -> dict[str, str]:
        """For the text of a statement that moves a run."""
        return {
            "set_note": SET_NOTE if self.note else "",
            "set_attempts": SET_ATTEMPTS if self.attempts else "",
        }


class ColumnDropped(psycopg2.OperationalError):
    """A column was dropped since this process last looked. Nothing was written; the next try does without.

    It carries no SQLSTATE and so counts as passing, like a lost connection (seeder.postgres.sqlstates).
    """


class OptionalColumns:
    """Which of them are there, as this process saw it last."""

    def __init__(self, question: str) -> None:
        self._question = question
        self._kept: Kept | None = None

    def saw(self, row: Any) -> None:
        """What the row of a start says of them."""
        self._kept = Kept(row.keeps_note, row.keeps_attempts)

    def wanted(self, session: Session, *, note: str | None, attempts: int | None) -> Kept:
        """Those that are there, of those that there is something to write into."""
        if note is None and attempts is None:
            return Kept(note=False, attempts=False)
        there = self._kept
        if there is None:
            # Once in a process that has begun no run yet, such as a sweep's.
            row = session.row(self._question)
            there = self._kept = Kept(row.keeps_note, row.keeps_attempts)
        return Kept(there.note and note is not None, there.attempts and attempts is not None)

    @contextmanager
    def writing(self, kept: Kept) -> Iterator[None]:
        """Around a statement that writes these. Raises ColumnDropped where one of them is gone."""
        try:
            yield
        except psycopg2.errors.UndefinedColumn as error:
            if not kept.note and not kept.attempts:
                raise
            self._kept = None
            raise ColumnDropped(str(error)) from error
