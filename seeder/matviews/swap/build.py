"""Builds the copy of a matview: its definition, everything that is set on the old one, and its rows.

Made WITH NO DATA and then refreshed, for three reasons. What is put on an empty matview costs nothing, and an
index that doesn't fit is found before the rows are computed. The rows are computed with the owner's rights,
as in any refresh. And a refresh writes rows that every snapshot sees, while on PostgreSQL 15 a transaction
with an older snapshot sees nothing of what CREATE … WITH DATA wrote.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import psycopg2

from seeder.errors import Position, SeederError
from seeder.matviews import measure
from seeder.matviews.policy import Policy
from seeder.matviews.relation import Matview, read_matview
from seeder.matviews.swap.attributes import Attributes
from seeder.matviews.swap.carry_over import carry_over
from seeder.matviews.swap.copies import OWN_ROLE, Pair, discard
from seeder.matviews.swap.copy_names import copy_of
from seeder.matviews.swap.dependents import refuse_lost_columns
from seeder.postgres.failures import Locate, Reported, judged, with_report
from seeder.postgres.session import OWN_PATH, Session
from seeder.postgres.snapshots import under
from seeder.sql.guard import SafeQuery

#: The line break ends a comment that the query may end with.
CREATE_COPY = "create materialized view {copy} as\n{query}\nwith no data"

#: As it is now: under the snapshot of a moment before, a SELECT would see a copy that was dropped since, too.
COPY_OID = """
select there.oid
from (select to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text))::oid) as there (oid)
where there.oid is not null
"""

#: What the functions that the query and the indexes call look up is looked up as a manifest's names are.
FILL = """
{before}{look_up}refresh materialized view {copy};
analyze {copy};
{own_path}{after}
"""


@dataclass(frozen=True)
class Built:
    """A copy with its rows."""

    pair: Pair
    records: int
    total_bytes: int


def build(
    session: Session, old: Matview, query: SafeQuery | None, policy: Policy, snapshot: str | None = None
) -> Built:
    """Build the copy of `old`, of the manifest's query or, without one, of its own definition; committed.

    With a snapshot its rows are what that one sees. What is on the old one is read before, in a transaction
    of its own: that snapshot may be older than the old one, or than what has been put on it.

    Raises ManifestError or TemporaryError, and then nothing is left of it. What is on top of the old one and
    can't be kept on the new columns is refused before the rows are computed.
    """
    with _expecting(old, query) as model:
        with session.transaction():
            pair = _copy_without_rows(session, old, query, policy, model)
            if snapshot is None:
                return _filled(session, pair, policy)
        try:
            with under(session, snapshot), session.transaction():
                session.run_text(pair.role)
                return _filled(session, pair, policy)
        except BaseException:
            if not session.closed:
                # The next run finds it.
                with suppress(SeederError, psycopg2.Error):
                    discard(session, pair.copy.oid, policy.set_role)
            raise


def try_build(session: Session, old: Matview, query: SafeQuery, policy: Policy) -> None:
    """Build the copy without computing its rows, and roll back. Raises what `build` would."""
    with _expecting(old, query) as model:
        try:
            session.run_text("begin")
            _copy_without_rows(session, old, query, policy, model)
        finally:
            if not session.closed:
                session.run_text("rollback")


@contextmanager
def _expecting(old: Matview, query: SafeQuery | None) -> Iterator[list[Attributes]]:
    """Yields a list for the attributes, once they are read: an error then uses the old matview's names."""
    text = _definition(old, query)

    def locate(position: int) -> Position | None:
        return query.source_position(position - 1 - text.index(query.text)) if query else None

    model: list[Attributes] = []
    try:
        yield model
    except psycopg2.Error as error:
        raise in_names_of(error, model[0] if model else None, locate) from error


def _definition(old: Matview, query: SafeQuery | None) -> str:
    return CREATE_COPY.format(copy=copy_of(old.name).quoted, query=query.text if query else old.definition)


def _copy_without_rows(
    session: Session, old: Matview, query: SafeQuery | None, policy: Policy, model: list[Attributes]
) -> Pair:
    """The copy without rows, in the session's transaction."""
    role = policy.set_role or OWN_ROLE
    # A definition names everything with its schema; the manifest's query is read as at its creation.
    session.run_text(role + (policy.look_up if query else OWN_PATH))
    session.run_text(_definition(old, query))
    session.run_text(OWN_PATH)
    pair = Pair(old, made(session, old), role)
    refuse_lost_columns(session, pair)
    model.append(carry_over(session, pair))
    return pair


def fill(session: Session, pair: Pair, policy: Policy) -> Built:
    """Complete a copy: set what is set on the old one, and fill it unless that one is empty. Commits."""
    model = None
    try:
        with session.transaction():
            session.run_text(pair.role)
            model = carry_over(session, pair)
            return _filled(session, pair, policy) if pair.old.populated else Built(pair, 0, 0)
    except psycopg2.Error as error:
        ours = in_names_of(error, model)
        where = f"the new rows of {pair.old.name}, which reads it and has to be built with it"
        context = "\n".join(filter(None, (ours.report.context, where)))
        raise with_report(ours, replace(ours.report, context=context)) from error


def in_names_of(error: psycopg2.Error, model: Attributes | None, locate: Locate | None = None) -> Reported:
    """The error in the names that a person knows."""
    ours = judged(error, locate)
    return with_report(ours, ours.report.in_words(model.own_words)) if model else ours


def made(session: Session, old: Matview) -> Matview:
    """The copy, which the caller has just made."""
    copy = copy_of(old.name)
    found = read_matview(session, session.row(COPY_OID, schema=copy.schema, name=copy.name).oid)
    if found is None:
        raise SeederError(what=f"the copy of {old.name} vanished")
    return found


def _filled(session: Session, pair: Pair, policy: Policy) -> Built:
    copy = pair.copy.name
    text = FILL.format(
        before=measure.BEFORE,
        look_up=policy.look_up,
        copy=copy.quoted,
        own_path=OWN_PATH,
        after=measure.after_plain(copy),
    )
    row = session.row(text, oid=pair.copy.oid)
    return Built(pair, int(row.records), int(row.total_bytes))
