"""What tells a run that somebody ended from one that failed.

Both are ``error`` by the contract, and both count as failures in a row. They are told apart by how their
errors begin, which ``HistoryRepository.cancel`` alone writes; no other error is let begin so.
"""

#: How the errors of a cancelled run begin: who it was, and when, follows.
CANCELLED = "Cancelled by "

#: In a job's last errors, between the cancelled run's and the failure that had come before and still stands.
EARLIER = "\nThe last failure before that: "


def is_cancelled(errors: str | None) -> bool:
    return errors is not None and errors.startswith(CANCELLED)


def has_failed(failures: int, last_errors: str | None) -> bool:
    """Of a job: whether any of its failures in a row was one, and not a run that somebody cancelled."""
    return failures > 0 and not (is_cancelled(last_errors) and EARLIER not in (last_errors or ""))


def as_failure(errors: str) -> str:
    """The words of a failure. Some quote a name first, and a table may be called anything."""
    return f"Error: {errors}" if is_cancelled(errors) else errors
