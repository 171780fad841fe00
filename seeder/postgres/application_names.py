"""What our sessions are called in pg_stat_activity: ``seeder``, and while one works on a run, which run.

https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-APPLICATION-NAME
"""

#: A session that works on no run.
IDLE_NAME = "seeder"

#: PostgreSQL cuts application_name there (NAMEDATALEN - 1).
APPLICATION_NAME_BYTES = 63


def application_name(run_id: str, attempt: int) -> str:
    """``seeder <run_id> <attempt>``: who works, for people and for the next message of the same run."""
    return f"{IDLE_NAME} {run_id} {attempt}"[:APPLICATION_NAME_BYTES]


def names_of(run_id: str) -> str:
    """What the application_name of a run begins with, whichever attempt it is."""
    return f"{IDLE_NAME} {run_id} "[:APPLICATION_NAME_BYTES]


def read_application_name(name: str) -> tuple[str, int] | None:
    """The run_id and attempt in an application_name, or None where it isn't one of a run."""
    words = name.split(" ")
    if len(words) != 3 or words[0] != IDLE_NAME or not words[2].isdecimal():
        return None
    return words[1], int(words[2])
