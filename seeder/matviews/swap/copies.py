"""A matview with its copy, which will replace it; and how copies are dropped that dead runs left behind.

The copy is committed before the exchange, so a run that dies in between leaves it behind. It is known by its
name, which only the holder of the matview's advisory lock makes or drops (seeder.matviews.swap.copy_names).
"""

from dataclasses import dataclass

import psycopg2

from seeder.matviews.relation import Matview, matviews_above, name_of_matview
from seeder.matviews.swap.copy_names import COPY_PREFIX
from seeder.postgres.failures import judged
from seeder.postgres.session import Session

DROP_COPY = "drop materialized view {copy}"

#: Begins what the connection's own role executes, not the one that manifests run as.
OWN_ROLE = "set local role none;\n"


@dataclass(frozen=True)
class Pair:
    """A matview and its copy. `role` begins the statements that change them: it sets who may."""

    old: Matview
    copy: Matview
    role: str

    @property
    def keeps_columns(self) -> bool:
        """Whether everything that reads the old matview can read the copy: columns added at the end do no
        harm."""
        return self.copy.columns[: len(self.old.columns)] == self.old.columns


def discard(session: Session, oid: int, role: str) -> None:
    """Drop a copy, with the copies on top of it. `role` begins the statement that drops it: it sets who may.

    Raises TemporaryError or ManifestError.
    """
    try:
        with session.transaction():
            if (copy := name_of_matview(session, oid)) is None:
                return
            # A dead run had made these to go with it.
            for above in reversed(matviews_above(session, oid, COPY_PREFIX).values()):
                session.run_text(DROP_COPY.format(copy=above.quoted))
            session.run_text(role + DROP_COPY.format(copy=copy.quoted))
    except psycopg2.Error as error:
        raise judged(error) from error
