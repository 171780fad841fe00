"""The key of a matview's advisory lock."""

import hashlib

from seeder.sql.names import MatviewName


def key_of(matview: MatviewName) -> int:
    """The advisory lock's key: 64 bits of a hash, so that 10,000 matviews hardly ever share one (1e-12)."""
    digest = hashlib.blake2b(f"seeder:{matview}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
