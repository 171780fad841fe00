"""The grammar of seeding ids and run ids: how they are built, taken apart, and looked for in SQL.

``20261123T0200Z``                   a scheduled seeding: the tick that it belongs to
``20261123T091502Z-k3f9``            an ad-hoc seeding: when it was asked for, and four random characters
``dropped-20261123T091502Z-1f0a``    no seeding, but a round in which matviews without a manifest were dropped
``custom-12``                        a manifest: its type and its id, which alone may be one of either type
``20261123T0200Z.custom-12``         a run: its seeding and its manifest; it is the Celery task's id as well
``dropped-….custom-12.0``            a matview dropped in a round; one manifest may have left several

No part holds a dot, so a run id is taken apart at its first one. Rows of the history that others wrote may
have any id: whatever it is, Python and SQL read the same out of it.

The functions of SQL take expressions and give one, without any brace or percent sign: it may stand in a
statement with gaps, or in one with parameters.
"""

import re
import secrets
import string
from datetime import UTC, datetime

MINUTE = "%Y%m%dT%H%MZ"
SECOND = "%Y%m%dT%H%M%SZ"

_SCHEDULED = re.compile("[0-9]{8}T[0-9]{4}Z")
_ADHOC = re.compile("([0-9]{8}T[0-9]{6}Z)-[a-z0-9]+")
_IDENTITY = re.compile("(custom|canned)-(0|-?[1-9][0-9]{0,9})")

#: What a manifest_id, an integer of PostgreSQL's, can be.
_IDS = range(-(2**31), 2**31)

# --- building -------------------------------------------------------------------------------------------


def tick_seeding_id(tick: datetime) -> str:
    """The seeding of a tick of the schedule, however often that tick fires."""
    return f"{tick.astimezone(UTC):{MINUTE}}"


def adhoc_seeding_id(now: datetime) -> str:
    """A seeding that somebody asks for."""
    suffix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(4))
    return f"{now.astimezone(UTC):{SECOND}}-{suffix}"


def drop_round_id(now: datetime) -> str:
    """A round of dropping; what it records lies together in the index on run_id."""
    return f"dropped-{now.astimezone(UTC):{SECOND}}-{secrets.token_hex(2)}"


def manifest_identity(report_type: str, manifest_id: int) -> str:
    return f"{report_type}-{manifest_id}"


def run_id_of(seeding_id: str, identity: str) -> str:
    """The run of a manifest in a seeding."""
    return f"{seeding_id}.{identity}"


def drop_id_of(round_id: str, identity: str, number: int) -> str:
    """The row that tells of a dropped matview, by its number in the round."""
    return f"{round_id}.{identity}.{number}"


# --- taking apart ---------------------------------------------------------------------------------------


def seeding_of(run_id: str) -> str:
    """The seeding of a run."""
    return run_id.partition(".")[0]


def identity_of(run_id: str) -> str:
    """The manifest of a run; empty where the id names none."""
    return run_id.partition(".")[2].partition(".")[0]


def read_identity(identity: str) -> tuple[str, int]:
    """The report_type and manifest_id of a manifest. Raises ValueError for what is no manifest's identity."""
    found = _IDENTITY.fullmatch(identity)
    if found is None or int(found[2]) not in _IDS:
        raise ValueError(f"{identity!r} is no manifest's identity")
    return found[1], int(found[2])


def is_scheduled(seeding_id: str) -> bool:
    """Whether the seeding was made from a tick."""
    return _SCHEDULED.fullmatch(seeding_id) is not None


def seeding_moment(seeding_id: str) -> datetime | None:
    """The moment that a seeding's id is made from; None for an id that isn't one of ours."""
    adhoc = _ADHOC.fullmatch(seeding_id)
    if adhoc is None and not is_scheduled(seeding_id):
        return None
    moment, form = (adhoc[1], SECOND) if adhoc else (seeding_id, MINUTE)
    try:
        return datetime.strptime(moment, form).replace(tzinfo=UTC)
    except ValueError:
        return None


# --- in SQL ---------------------------------------------------------------------------------------------


def sql_seeding_of(run_id: str) -> str:
    """``seeding_of``"""
    return f"split_part({run_id}, '.', 1)"


def sql_is_scheduled(run_id: str) -> str:
    """``is_scheduled`` of a run's seeding."""
    return f"translate({sql_seeding_of(run_id)}, '123456789', '000000000') = '00000000T0000Z'"


def sql_identity(report_type: str, manifest_id: str) -> str:
    """``manifest_identity``; the type is a word, the id an expression."""
    return f"'{report_type}-' || {manifest_id}"


def sql_start_of(seeding_id: str) -> str:
    """Where a seeding's runs begin in the order of run_id. Those of earlier seedings are less than this."""
    return f"{seeding_id} || '.canned-'"


def sql_belongs_to(run_id: str, seeding_id: str) -> str:
    """Whether a run is of a seeding, by a range of the unique index on run_id.

    That index is in the database's own collation, which may pass over punctuation (ICU's ka-shifted does). So
    the bounds are set by the letters of canned and custom, which sort alike everywhere, and the seeding is
    compared beside them.
    """
    return (
        f"{run_id} >= {sql_start_of(seeding_id)} and {run_id} < {seeding_id} || '.custoz'"
        f" and {sql_seeding_of(run_id)} = {seeding_id}"
    )
