"""How many rows a matview has, carried over from the run before rather than counted anew.

A concurrent refresh writes only what has changed, so the rows after it are those before it, plus inserted,
minus deleted. The rows before are what the stamp says, if the matview is still in the state that the stamp
speaks of. That is proved, not assumed: every refresh, by whomever and in either mode, writes the matview's
row in pg_class anew (matview.c, SetMatViewPopulatedState), so its xmin names the transaction that made the
rows there are; VACUUM and ANALYZE leave it alone (they update in place). A restored dump, a rewrite or
another server differ in one of the other parts. The stamp is in the same database, so a crash that loses the
refresh loses it too. Whatever doesn't match is counted.
"""

from dataclasses import dataclass

#: With fewer rows, counting takes less than what it takes not to count (docs/costs.md).
WORTHWHILE_ROWS = 50_000

#: After so many runs the rows are counted all the same, and both numbers compared.
LONGEST_CHAIN = 30

#: What the matview's rows are the work of, as an expression.
STATE = """(
    select concat_ws('.', control.system_identifier, c.oid, c.relfilenode, c.xmin)
    from pg_class as c, pg_control_system() as control
    where c.oid = cast(%(oid)s as oid)
)"""


@dataclass(frozen=True)
class Tally:
    """A number of rows, and of which state of the matview."""

    rows: int
    state: str
    #: Runs since the rows were last counted.
    carried: int

    @property
    def due(self) -> bool:
        """Whether it is time to count."""
        return self.carried >= LONGEST_CHAIN
