"""Errors that may be gone at the next try: the run is tried again with backoff, or waits for its turn."""

from seeder.errors.base import Fact, SeederError
from seeder.errors.reports import Report


class TemporaryError(SeederError):
    """{what}"""


class DatabaseTrouble(TemporaryError):
    """{report}"""

    report = Fact[Report]()


class TurnAwaited(TemporaryError):
    """{what}"""

    table_name = Fact[str]()


class MatviewBusy(TurnAwaited):
    """{table_name} is being refreshed by {holder}; this run waits its turn."""

    #: The application_name of the session that holds the lock.
    session_name = Fact[str]()


class RecordHeld(TurnAwaited):
    """Another session holds the rows of {table_name} in seeder_job_status or seeder_run_history, or a lock on
    one of these tables; this run waits its turn."""


class DatabaseFull(TurnAwaited):
    """{limit} refreshes run on the database of {table_name} already (SEEDER_MAX_PER_DATABASE); this run
    waits its turn."""


class MomentOver(TemporaryError):
    """The moment that this run was to share with others has ended ({reason}); nothing was changed."""


class MatviewChanged(TemporaryError):
    """{table_name} was changed by somebody else while its new build was about to take its place: {what}. The
    old rows were kept."""


class MatviewInUse(TemporaryError):
    """{table_name} is in use: it could not be exchanged for its new build in {tries} tries ({reason}). The
    old rows were kept. A reader in a long transaction holds it: end that transaction, and refresh again if no
    try is left."""
