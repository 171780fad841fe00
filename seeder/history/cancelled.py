"""What tells a run that somebody ended from one that failed.

Both are ``error`` by the contract, and both count as failures in a row. They are told apart by how their
errors begin, which ``HistoryRepository.cancel`` alone writes; no other error is let begin so.
"""

from seeder.history.not_run import is_not_run

#: How the errors of a cancelled run begin: who it was, and when, follows.
CANCELLED = "Cancelled by "

#: In a job's last errors, between those of a run that was cancelled, or not run, and the failure that had
#: come before and still stands.
EARLIER = "\nThe last failure before that: "


def is_cancelled(errors: str | None) -> bool:
    return errors is not None and errors.startswith(CANCELLED)


def has_failed(failures: int, last_errors: str | None) -> bool:
    """Of a job: whether any of its failures in a row was one, and not a run that somebody cancelled."""
    no_failure = is_cancelled(last_errors) or is_not_run(last_errors)
    return failures > 0 and not (no_failure and EARLIER not in (last_errors or ""))


def as_failure(errors: str) -> str:
    """The words of a failure. Some quote a name first, and a table may be called anything."""
    return f"Error: {errors}" if is_cancelled(errors) or is_not_run(errors) else errors
