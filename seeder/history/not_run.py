"""What tells a run that wasn't done, since what it reads has failed, from one that failed itself.

Both are ``error`` by the contract, but this one counts as no failure of its own. It is known by how its
errors begin, which ``UpstreamRuns.not_run`` alone writes; no other error is let begin so.
"""

#: How the errors of such a run begin; the message of seeder.errors.UpstreamFailed does.
NOT_RUN = "Not run: "


def is_not_run(errors: str | None) -> bool:
    return errors is not None and errors.startswith(NOT_RUN)
