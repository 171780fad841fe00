"""The ways in which a matview is refreshed, and which of them its mode and its state allow."""

from enum import StrEnum

from seeder.matviews.found import Found
from seeder.matviews.policy import Policy
from seeder.sql.directives import RefreshMode


class Method(StrEnum):
    """How PostgreSQL is asked to refresh a matview."""

    #: Readers wait until it is done.
    PLAIN = "plain"
    #: Readers go on reading the old rows.
    CONCURRENTLY = "concurrently"
    #: They do, too, and there is no need of an index (seeder.matviews.swap.swap).
    SWAP = "swap"


def choose(found: Found, policy: Policy) -> tuple[Method, str | None]:
    """Choose the method, and say why it isn't the one that was asked for.

    Rows that have to be checked first are swapped in where they can't be refreshed concurrently: a plain
    refresh would keep readers waiting for the checks too. Where the mode leaves two to choose from,
    seeder.matviews.modes.weighing has the last word.
    """
    mode, concurrently = policy.mode, found.populated and found.keyed
    otherwise = Method.SWAP if policy.expect and found.populated else Method.PLAIN
    match mode:
        case RefreshMode.PLAIN:
            return Method.PLAIN, None
        case RefreshMode.AUTO:
            return (Method.CONCURRENTLY if concurrently else otherwise), None
        case RefreshMode.CONCURRENTLY:
            if concurrently:
                return Method.CONCURRENTLY, None
            reason = "it has no usable unique index" if found.populated else "it holds no rows yet"
            done = "Swapped" if otherwise is Method.SWAP else "Refreshed plain"
            return otherwise, f"{done}, not concurrently: {reason}."
        case RefreshMode.SWAP | RefreshMode.AUTO_SWAP:
            if not found.populated:
                # Nobody can read it, so nobody has to wait.
                return Method.PLAIN, None
            return (
                Method.CONCURRENTLY if concurrently and mode is RefreshMode.AUTO_SWAP else Method.SWAP
            ), None
