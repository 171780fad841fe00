"""Everything that is set on a matview, as a set of lines, each with the statement that sets it on another.

A line is one fact with the statement that sets it. The lines of the old matview and of its copy are read by
one query, for one target name, so what the copy still lacks is the difference of two sets, and when that is
empty the copy has everything that the old one has. Not among the lines: the definition, the rows, and the
matview's own comment, which contains the stamp.

Indexes and statistics objects have names of their own in the schema, so those of a copy bear another until
the exchange: the *twin*, made from a hash of the name.

What needs no line: a matview has no constraints, no rules, triggers or policies (PostgreSQL refuses them).
An index that is invalid comes back valid, as it does from a plain REFRESH.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from seeder.matviews.swap.attribute_lines import LINES
from seeder.postgres.prepared import Prepared
from seeder.postgres.session import Session
from seeder.sql.names import MatviewName

#: The places of what is no line: what the matview has, the twins, and options that nothing is known of.
HAS, TWIN, UNKNOWN = 0, -1, -2

#: Planning them takes ten times as long as executing them, and the exchange reads them while everybody waits.
ATTRIBUTES = Prepared("attributes", (LINES,), first="set local search_path = pg_catalog;\n")


@dataclass(frozen=True)
class Line:
    """One fact about a matview."""

    subject: str
    #: What the copy must have for it to apply: a column, or that column with its type, or a TOAST table.
    needs: str | None
    make: str
    #: None where there is always something in its place, so that another line of the subject replaces it.
    unmake: str | None


@dataclass(frozen=True)
class Attributes:
    """The lines of a matview by their subject, in the order in which they must be set."""

    lines: Mapping[str, Line]
    #: Its columns, with and without their types, and whether it has a TOAST table.
    has: frozenset[str]
    #: For each twin what it is in its own words, such as ``index sale_id_idx``, ...
    twins: Mapping[str, str]
    #: ... and the statement that gives it its own name, once that is free.
    renames: tuple[str, ...]
    #: Options that are left as they are, each with what it is of: ``pg_attver of a column``.
    unknown: tuple[str, ...] = ()

    def own_words(self, text: str) -> str:
        """The text with the indexes' own names in place of those that the copy's indexes have for now."""
        for twin, own in self.twins.items():
            text = text.replace(f'index "{twin}"', own).replace(f"index {twin}", own)
            text = text.replace(f'"{twin}"', own).replace(twin, own)
        return text


def read_attributes(session: Session, oid: int, target: MatviewName, back: str) -> Attributes:
    """Read in the transaction that is open; `back` is the statement that ends a SET ROLE there."""
    found = session.rows(ATTRIBUTES, oid=oid, target=target.quoted, back=back.strip("; \n"))
    lines = (Line(row.subject, row.needs, row.make, row.unmake) for row in found if row.place > 0)
    twins = [row for row in found if row.place == TWIN]
    return Attributes(
        {line.subject: line for line in lines},
        frozenset(row.subject for row in found if row.place == HAS),
        {row.subject: row.needs for row in twins},
        tuple(row.make for row in twins),
        tuple(f"{row.subject} of {row.needs}" for row in found if row.place == UNKNOWN),
    )
