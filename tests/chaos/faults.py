"""What is done to seeder, and when: drawn from a seed, so that the same seed is the same plan."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Each with the words it is told in."""

    POOL_PROCESS = "SIGKILL of a pool process"
    WORKER = "SIGKILL of a worker"
    BEAT = "SIGKILL of a beat"
    BACKEND = "pg_terminate_backend of a backend at work"
    BACKEND_KILLED = "SIGKILL of a backend at work, for which PostgreSQL ends all the others"
    POSTGRES = "PostgreSQL stopped immediately and started again"
    REDIS = "Redis killed and started again with its append-only file"
    REDIS_EMPTIED = "Redis killed and started again without its append-only file"
    STOPPED = "SIGSTOP of a worker or a beat, later SIGCONT"
    SILENT_POSTGRES = "a connection to PostgreSQL goes silent, later it ends"
    SILENT_REDIS = "a connection to Redis goes silent, later it ends"
    SLOW_DISK = "commits wait 0.1 s longer for the disk (commit_delay)"
    TWICE = "messages of all runs at work sent once more"
    REWRITTEN = "the SQL of ten manifests changed"
    HELD_ROW = "a row of the status or of the history held in an open transaction"
    GRANTED = "a GRANT over all tables in an open transaction"
    READ_ONLY = "PostgreSQL takes no writes (default_transaction_read_only)"
    DEMOTED = "Redis made a replica, later a primary again"
    REVIVED = "SIGSTOP of a worker, the backends at work terminated, later SIGCONT"


#: How often each comes, against the others. A Redis that has lost everything seldom does: nobody has work
#: then until the sweep has found out, a minute or two later, and other faults meet nothing. Nor does a crash
#: of PostgreSQL, after which nothing is known to be unchanged.
WEIGHTS = {
    Kind.POOL_PROCESS: 6,
    Kind.WORKER: 3,
    Kind.BEAT: 2,
    Kind.BACKEND: 8,
    Kind.BACKEND_KILLED: 1,
    Kind.POSTGRES: 1,
    Kind.REDIS: 2,
    Kind.REDIS_EMPTIED: 0.4,
    Kind.STOPPED: 1,
    Kind.SILENT_POSTGRES: 3,
    Kind.SILENT_REDIS: 2,
    Kind.SLOW_DISK: 2,
    Kind.TWICE: 5,
    Kind.REWRITTEN: 4,
    Kind.HELD_ROW: 5,
    Kind.GRANTED: 3,
    Kind.READ_ONLY: 2,
    Kind.DEMOTED: 2,
    Kind.REVIVED: 1,
}

#: How long what lasts may last, in seconds. Programs are stopped for longer than the statement timeout
#: (chaos.place.SETTINGS), and at most for longer than Redis keeps a message for a worker (seeder.app).
LASTING = {
    Kind.POSTGRES: (0.0, 3.0),
    Kind.REDIS: (0.0, 5.0),
    Kind.REDIS_EMPTIED: (0.0, 5.0),
    Kind.STOPPED: (17.0, 140.0),
    Kind.SILENT_POSTGRES: (10.0, 30.0),
    Kind.SILENT_REDIS: (10.0, 30.0),
    Kind.SLOW_DISK: (5.0, 15.0),
    Kind.HELD_ROW: (5.0, 40.0),
    Kind.GRANTED: (1.0, 5.0),
    Kind.READ_ONLY: (1.0, 6.0),
    Kind.DEMOTED: (2.0, 15.0),
    # Longer than the sweep needs to give its runs to others.
    Kind.REVIVED: (110.0, 150.0),
}

#: Seconds between two faults.
GAP = (1.0, 3.5)


@dataclass(frozen=True)
class Fault:
    """``at`` and ``lasting`` in seconds; ``choice`` from 0 to 1 says which of those that could be hit."""

    at: float
    kind: Kind
    lasting: float
    choice: float


def draw(seed: int, seconds: float) -> list[Fault]:
    """Faults for so long. Each kind comes once before any comes again, in any order but for an emptied Redis,
    which comes last."""
    chance = random.Random(seed)
    others = [kind for kind in Kind if kind != Kind.REDIS_EMPTIED]
    chance.shuffle(others)
    first = [Kind.REDIS_EMPTIED, *others]
    found = []
    at = chance.uniform(*GAP)
    while at < seconds:
        kind = first.pop() if first else chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        found.append(Fault(at, kind, chance.uniform(*LASTING.get(kind, (0.0, 0.0))), chance.random()))
        at += chance.uniform(*GAP)
    return found
