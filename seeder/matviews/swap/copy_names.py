"""The names of copies: each contains the key of the advisory lock of the matview that it will replace."""

import re

from seeder.matviews.locks.lock_key import key_of
from seeder.sql.names import MatviewName

#: The names of copies begin so.
COPY_PREFIX = "seeder:copy:"


def copy_of(matview: MatviewName) -> MatviewName:
    """What the matview that is built to take its place is called until then. A colon is refused in a
    manifest's table_name, so no other matview of seeder's bears such a name."""
    return MatviewName(matview.schema, f"{COPY_PREFIX}{key_of(matview) & (1 << 64) - 1:016x}")


def key_of_copy(name: str) -> int | None:
    """The lock's key in a copy's name; None if the name isn't that of a copy."""
    found = re.fullmatch(f"{COPY_PREFIX}([0-9a-f]{{16}})", name)
    return int.from_bytes(bytes.fromhex(found[1]), signed=True) if found else None
