"""What a matview's sources were like at its last refresh, as the stamp keeps it: small, be they ever so many.

Hashes decide. The numbers beside them are there to say which source was written to, and how much.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from seeder.matviews.freshness.reading import Sight, Source
from seeder.matviews.freshness.why import Kind, Why

#: Sources that are told apart; a matview that reads more is as well known, but not by name.
MOST_NAMED = 20


def short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Evidence:
    """Of which state of the matview, and what everything was like just before it was made."""

    #: Sight.state after the refresh, in its own transaction.
    state: str
    #: By the server's clock, in seconds since 1970.
    at: float
    epoch: str
    #: Settings, and what must hold of the rows.
    settings: str
    definitions: str
    #: Hash of all sources.
    sources: str
    count: int
    #: Of some sources oid, rows written, and the hash of its form.
    named: tuple[tuple[int, int, str], ...]
    #: The matview's own.
    records: int = 0
    total_bytes: int = 0

    @classmethod
    def of(cls, sight: Sight, terms: str) -> Self:
        return cls(
            state="",
            at=round(sight.at, 3),
            epoch=short(sight.epoch),
            settings=short(f"{sight.settings}/{terms}"),
            definitions=short(sight.definitions),
            sources=_hash(sight.sources),
            count=len(sight.sources),
            named=tuple((one.oid, one.written, one.form[:8]) for one in sight.sources[:MOST_NAMED]),
        )

    @classmethod
    def read(cls, facts: dict[str, Any]) -> Self:
        """From the stamp's JSON. Raises TypeError where it is another's."""
        named = tuple((int(oid), int(written), str(form)) for oid, written, form in facts.pop("named"))
        return cls(**facts, named=named)

    def with_rows(self, state: str, records: int, total_bytes: int) -> Self:
        return replace(self, state=state, records=records, total_bytes=total_bytes)

    @property
    def oid(self) -> int:
        return int(self.state.partition(".")[0] or 0)


def _hash(sources: tuple[Source, ...]) -> str:
    text = ",".join(f"{one.oid} {one.form} {one.counters}" for one in sources)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def changes(then: Evidence, sight: Sight, terms: str) -> tuple[Why, ...]:
    """What is different from what the evidence says; nothing where all is the same."""
    now = Evidence.of(sight, terms)
    reasons: list[Why] = []
    if then.state != sight.state:
        reasons.append(Why(Kind.TOUCHED))
    if then.epoch != now.epoch:
        # The counters of two epochs have nothing to do with each other.
        return (*reasons, Why(Kind.EPOCH))
    if then.settings != now.settings:
        reasons.append(Why(Kind.SETTINGS))
    if then.definitions != now.definitions:
        reasons.append(Why(Kind.DEFINITION))
    if then.sources != now.sources:
        reasons += tuple(_of_sources(then, sight)) or (Why(Kind.SOURCES),)
    return tuple(reasons)


def _of_sources(then: Evidence, sight: Sight) -> Iterator[Why]:
    known = {oid: (written, form) for oid, written, form in then.named}
    for one in sight.sources:
        if one.oid not in known:
            continue
        written, form = known[one.oid]
        if form != one.form[:8]:
            yield Why(Kind.REWRITTEN, one.name)
        elif one.written != written:
            yield Why(Kind.WRITTEN, one.name, one.written - written)
