"""The text of statements for one schema: each is a constant beside its only user, with gaps for the tables
and for the pieces that several statements share."""

from functools import cache

from seeder.history import optional, queries, standing, transitions
from seeder.sql.names import quoted

#: The gap's name → the table's.
TABLES = {
    "history": "seeder_run_history",
    "status": "seeder_job_status",
    "dashboard": "seeder_dashboard",
    "custom_manifest": "seeder_custom_report_manifest",
    "canned_manifest": "seeder_canned_report_manifest",
    "canned_report": "seeder_canned_report",
}

#: What stands in gaps, each piece after those that it has gaps for itself.
PIECES = {
    "kept": optional.KEPT,
    "absent": queries.ABSENT,
    "runs": queries.RUNS,
    "attempts": queries.ATTEMPTS,
    "run_columns": queries.RUN_COLUMNS,
    "job_columns": queries.JOB_COLUMNS,
    "as_seen": transitions.AS_SEEN,
    "as_seen_or_before": transitions.AS_SEEN_OR_BEFORE,
    "failures_so_far": transitions.FAILURES_SO_FAR,
    "instead": transitions.INSTEAD,
    "standing": standing.STANDING,
    "last_errors": standing.LAST_ERRORS,
    "shown": transitions.SHOWN,
    "show": transitions.SHOW,
}


class Statements:
    """Called with a statement's constant, and with what else stands in its gaps, it gives the text."""

    def __init__(self, schema: str) -> None:
        self._pieces = {gap: f"{quoted(schema)}.{table}" for gap, table in TABLES.items()}
        self._pieces |= {
            "history_name": "'" + self._pieces["history"].replace("'", "''") + "'",
            "window_days": str(queries.WINDOW_DAYS),
            "usual_of": str(queries.USUAL_OF),
            "lasted": queries.LASTED,
        }
        for gap, piece in PIECES.items():
            self._pieces[gap] = piece.format(**self._pieces)
        self._filled = cache(self._fill)

    def __call__(self, statement: str, **pieces: str) -> str:
        return self._filled(statement, tuple(pieces.items()))

    def _fill(self, statement: str, pieces: tuple[tuple[str, str], ...]) -> str:
        return statement.format(**self._pieces, **dict(pieces))
