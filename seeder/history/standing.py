"""How a run that was cancelled, or not run, is told from one that failed: the only file that knows the marks.

By the contract all three are an ``error``. It has no column that would tell them apart, so the text in
``errors`` does, by how it begins (docs/decisions/standings.md). Everything else asks for the
``Standing`` of a run or a job. A cancelled run counts as a failure in a row; one that wasn't begun, since
what it reads has failed, doesn't.
"""

from enum import StrEnum

from seeder.models import RunStatus


class Standing(StrEnum):
    """The status of a run, with ``cancelled`` and ``not_run`` told apart from ``error``."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"
    NOT_RUN = "not_run"

    @property
    def words(self) -> str:
        """For people."""
        return self.value.replace("_", " ")


#: How the errors of a cancelled run begin: who it was, and when, follows. No other errors begin so.
_CANCELLED = "Cancelled by "

#: How the errors of a run begin that wasn't begun; those of seeder.errors.UpstreamFailed do.
_NOT_RUN = "Not run: "

#: In a job's last errors, between those of a run that was cancelled, or not run, and the failure that had
#: come before and still stands.
_EARLIER = "\nThe last failure before that: "

# --- writing --------------------------------------------------------------------------------------------


def as_cancelled(by: str) -> str:
    """The errors of a run that was cancelled; ``by``: who, and when."""
    return f"{_CANCELLED}{by}"


def as_failure(errors: str) -> str:
    """The errors of a run that failed, or waits. Some begin with a table's name, which may be anything."""
    return f"Error: {errors}" if is_about_cancel(errors) or is_not_run(errors) else errors


# --- recognising ----------------------------------------------------------------------------------------


def is_about_cancel(errors: str | None) -> bool:
    """Whether a run's errors, or a job's last ones, tell of a run that was cancelled. A job's still do while
    its next run waits or is at work."""
    return errors is not None and errors.startswith(_CANCELLED)


def is_not_run(errors: str | None) -> bool:
    """Whether a run's errors, or a job's last ones, tell of a run that wasn't begun."""
    return errors is not None and errors.startswith(_NOT_RUN)


def standing_of(status: str, errors: str | None) -> Standing:
    """Of a run or a job."""
    if status == RunStatus.ERROR and is_about_cancel(errors):
        return Standing.CANCELLED
    if status == RunStatus.ERROR and is_not_run(errors):
        return Standing.NOT_RUN
    return Standing(status)


def has_failed(failures: int, last_errors: str | None) -> bool:
    """Of a job: whether any of its failures in a row was one, and not a run that somebody cancelled."""
    no_failure = is_about_cancel(last_errors) or is_not_run(last_errors)
    return failures > 0 and not (no_failure and _EARLIER not in (last_errors or ""))


# --- in SQL ---------------------------------------------------------------------------------------------

#: ``standing_of`` a row of the history.
STANDING = f"""\
case when status = 'error' and starts_with(errors, '{_CANCELLED}') then 'cancelled'
     when status = 'error' and starts_with(errors, '{_NOT_RUN}') then 'not_run'
     else status end"""

#: A job's last errors after the run ``m`` has moved; ``before`` is its status row until then. What failed
#: last stays in sight until a run succeeds, also behind what a run says that was cancelled, or not run.
LAST_ERRORS = f"""\
case when m.status = 'success' then null
            when (starts_with(m.errors, '{_CANCELLED}') or starts_with(m.errors, '{_NOT_RUN}'))
                 and before.consecutive_failures > 0 then
                m.errors || coalesce(
                    case when starts_with(before.last_errors, '{_CANCELLED}')
                              or starts_with(before.last_errors, '{_NOT_RUN}')
                         then substr(before.last_errors, nullif(strpos(before.last_errors, '{_EARLIER}'), 0))
                         else '{_EARLIER}' || before.last_errors end,
                    '')
            else coalesce(m.errors, before.last_errors) end"""
