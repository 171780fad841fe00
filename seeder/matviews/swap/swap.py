"""Builds a copy of a matview beside it and exchanges the two, so that readers never wait for the new rows.

Two steps, each committed by itself: the long one takes no lock that anybody would notice, and the short one
has nothing to write but the catalogue, can be tried again without building anew, and doesn't wait for the
copy's rows to reach the disk while it holds exclusive locks. The matview's advisory lock is held over both.
What a run that dies between them leaves behind is dropped by the next one (seeder.matviews.swap.copies).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import psycopg2

from seeder.errors import MatviewChanged, SeederError
from seeder.matviews.locks import lock
from seeder.matviews.locks.lock_key import key_of
from seeder.matviews.measure import total_bytes
from seeder.matviews.policy import Policy
from seeder.matviews.relation import Matview, matviews_above, read_matview
from seeder.matviews.swap.build import COPY_OID, CREATE_COPY, Built, build, fill, made, try_build
from seeder.matviews.swap.copies import OWN_ROLE, Pair, discard
from seeder.matviews.swap.copy_names import COPY_PREFIX, copy_of
from seeder.matviews.swap.dependents import refuse_hindrances
from seeder.matviews.swap.exchange import exchange, exclusively, hidden, patiently, rename, unchanged
from seeder.postgres.failures import judged
from seeder.postgres.session import Session
from seeder.sql.guard import SafeQuery
from seeder.sql.names import MatviewName

#: Called with the session, outside a transaction, and the copy's quoted name, when its rows and indexes are
#: there; a ManifestError that it raises ends the run, and the old rows stay. Indexes that it makes on the
#: copy, under names of their own, go into service with it.
BeforeExchange = Callable[[Session, str], object]

#: The new comment, from the old one's and the number of rows.
Comment = Callable[[str | None, int], str | None]


def swap(
    session: Session,
    matview: MatviewName,
    oid: int,
    query: SafeQuery | None,
    comment: Comment,
    policy: Policy,
    before_exchange: BeforeExchange,
    *,
    snapshot: str | None = None,
) -> Built:
    """Exchange the matview for a copy of the query, or without one of its own definition; where a snapshot is
    given, with the rows that this one sees.

    Raises ManifestError or TemporaryError; then the old one is in service as it was, and no copy is left.
    """
    with _held(session, oid) as held:
        old, on_top = _look(session, matview, oid)
        if new := {one.name for one in on_top} - held:
            raise MatviewChanged(table_name=str(matview), what=f"{min(map(str, new))} was made on it")
        built = build(session, old, query, policy, snapshot)
        try:
            before_exchange(session, built.pair.copy.name.quoted)
            # With the indexes that were made just now.
            built = replace(built, total_bytes=total_bytes(session, built.pair.copy.oid))
            pairs = [built.pair, *_built_on_top(session, built.pair, on_top, policy)]
            exchange(session, pairs, lambda now: comment(now, built.records))
        except BaseException:
            if not session.closed:
                # The next run finds it.
                with suppress(SeederError, psycopg2.Error):
                    discard(session, built.pair.copy.oid, policy.set_role)
            raise
    return built


def verify_swap_feasible(
    session: Session, matview: MatviewName, oid: int, query: SafeQuery | None, policy: Policy
) -> None:
    """Raise the error with which a swap would fail before it computes any rows. Leaves nothing behind.

    While somebody works on the matview, only what is on top of it is looked at: the copy is theirs.
    """
    old, _ = _look(session, matview, oid)
    if query and lock.holder(session, matview) is None:
        try_build(session, old, query, policy)


def _look(session: Session, matview: MatviewName, oid: int) -> tuple[Matview, list[Matview]]:
    """Read the matview and those that read it; raises if they can't be exchanged."""
    try:
        with session.transaction():
            found = [read_matview(session, one) for one in (oid, *matviews_above(session, oid))]
            there = [one for one in found if one]
            if not there or there[0].oid != oid or there[0].name != matview:
                raise MatviewChanged(table_name=str(matview), what="it was renamed or dropped")
            for one in there[1:]:
                if one.name.name.startswith(COPY_PREFIX):
                    raise MatviewChanged(table_name=str(matview), what=f"{one.name} is being built on it")
            refuse_hindrances(session, there)
    except psycopg2.Error as error:
        raise judged(error) from error
    return there[0], there[1:]


@contextmanager
def _held(session: Session, oid: int) -> Iterator[set[MatviewName]]:
    """Hold the advisory locks of the matviews that read this one, which may have runs of their own.

    Before their definitions are read: that would wait for a refresh to its end, with a worker's thread.
    """
    taken: set[MatviewName] = set()
    try:
        for name in matviews_above(session, oid).values():
            if not lock.try_lock(session, key_of(name)):
                raise lock.busy(session, name)
            taken.add(name)
        yield taken
    finally:
        if not session.closed:
            for name in taken:
                lock.unlock(session, key_of(name))


def _built_on_top(session: Session, base: Pair, on_top: Sequence[Matview], policy: Policy) -> list[Pair]:
    """Copies of the matviews on top, which read the copies below them; committed."""
    if not on_top:
        return []
    for old in on_top:
        copy = copy_of(old.name)
        if left := session.row(COPY_OID, schema=copy.schema, name=copy.name):
            discard(session, left.oid, policy.set_role)
    pairs: list[Pair] = []

    def attempt() -> None:
        pairs[:] = _made_on_top(session, base, on_top)

    patiently(session, base.old, attempt)
    for pair in pairs:
        fill(session, pair, policy)
    return pairs


def _made_on_top(session: Session, base: Pair, on_top: Sequence[Matview]) -> list[Pair]:
    """Make the copies, still empty, of the old ones' definitions as PostgreSQL prints them.

    While they are made, the copies below bear the names that stand in these definitions: so the new
    definitions are the old ones to the letter, which replacing names in a text can't promise. Nobody sees it,
    since all names are back before the transaction ends.
    """
    pairs, every = [base], [base.old, *on_top]
    with exclusively(session, every, base.role):
        unchanged(session, every)
        for old in on_top:
            below = pairs[-1]
            rename(session, below.role, below.old.name, hidden(below.old.name))
            rename(session, below.role, below.copy.name, below.old.name)
            session.run_text(
                OWN_ROLE + CREATE_COPY.format(copy=copy_of(old.name).quoted, query=old.definition)
            )
            pairs.append(Pair(old, made(session, old), OWN_ROLE))
        for pair in reversed(pairs[:-1]):
            rename(session, pair.role, pair.old.name, pair.copy.name)
            rename(session, pair.role, hidden(pair.old.name), pair.old.name)
    return pairs[1:]
