"""Decides what a run will do with its matview, and finds what would make it fail. Changes nothing."""

from dataclasses import dataclass, replace
from enum import StrEnum

import psycopg2

from seeder.config.settings import OnQueryChange
from seeder.errors import QueryChanged, TableTaken
from seeder.manifests import Manifest
from seeder.matviews import indexes as indexing
from seeder.matviews import stamp
from seeder.matviews.found import Found
from seeder.matviews.indexes import IndexChanges
from seeder.matviews.modes.method import Method, choose
from seeder.matviews.modes.weighing import Weighed, weigh
from seeder.matviews.policy import Policy
from seeder.matviews.query.alteration import SQL_CHANGED, Unmanaged
from seeder.matviews.query.columns import refuse_unfit, refuse_unfit_to
from seeder.matviews.query.functions import refuse_functions
from seeder.matviews.query.meaning import compare, new_stamp
from seeder.matviews.stamp import Stamp
from seeder.matviews.swap import swap as swapping
from seeder.postgres.failures import judged
from seeder.postgres.relation_kinds import kind_of_relation
from seeder.postgres.session import Session

#: A matview's row type bears its name. The array type that PostgreSQL makes for a type makes room by itself
#: (pg_type.c, moveArrayTypeName).
TYPE = """
select case t.typtype when 'd' then 'domain' when 'e' then 'enum type' when 'r' then 'range type'
                      else 'type' end as kind
from pg_type t join pg_namespace n on n.oid = t.typnamespace
where n.nspname = %(schema)s and t.typname = %(name)s
  and not exists (select from pg_type element where element.typarray = t.oid)
"""

KEPT = "The matview keeps its old definition (SEEDER_ON_QUERY_CHANGE=keep)."


class Action(StrEnum):
    """What is to be done."""

    CREATE = "create"
    #: Its own definition, the rows anew.
    REFRESH = "refresh"
    #: A new definition, beside it.
    REBUILD = "rebuild"


@dataclass(frozen=True)
class Decision:
    """What a run will do, before it does any of it."""

    action: Action
    #: How it is to be refreshed; None where it isn't.
    method: Method | None
    #: The stamp that the matview should bear; None where it isn't seeder's and stays so.
    stamp: Stamp | None
    #: What a person should know of its definition when it is done.
    note: str | None = None
    #: Why the matview isn't what its manifest asks for, in a sentence; empty where it is.
    why: str = ""
    #: Whose matview's definition it is that goes, where seeder didn't make it.
    unmanaged: Unmanaged | None = None
    #: Why it isn't refreshed as it was asked for.
    reason: str | None = None
    #: What the choice of the method rests on, where there was one.
    weighed: Weighed | None = None
    #: It was made without seeder, and is what the manifest asks for.
    adopted: bool = False
    #: What is to be done with its indexes; None where they needn't be looked at.
    indexes: IndexChanges | None = None


def decide(session: Session, manifest: Manifest, found: Found, policy: Policy) -> Decision:
    """Decide what a run will do, also for `seeder plan`. Changes nothing.

    `policy` is the manifest's own. Raises ManifestError where the run can only fail.
    """
    if found.oid is None:
        _refuse_type(session, manifest)
        return Decision(Action.CREATE, None, new_stamp(manifest, policy))
    if found.kind != "m":
        raise TableTaken(table_name=manifest.table_name, kind=kind_of_relation(found.kind))
    meaning = compare(session, manifest, found.oid, found, policy)
    if not meaning.same and policy.on_query_change is OnQueryChange.ERROR:
        raise QueryChanged(why=meaning.why, table_name=manifest.table_name)
    if not meaning.same and policy.on_query_change is OnQueryChange.REBUILD:
        what = _index_difference(session, found.oid, policy)
        wanted = replace(new_stamp(manifest, policy), distrust=meaning.wanted.distrust)
        whose, why = meaning.unmanaged, meaning.why
        note = f"{whose} {whose.replacement_note}" if whose else None if why == SQL_CHANGED else why
        return Decision(Action.REBUILD, None, wanted, note, why=why, unmanaged=whose, indexes=what)
    current = meaning.wanted if meaning.same else meaning.there
    indexes = None
    if not _is_in_step(manifest, found, current, policy):
        indexes = _index_difference(session, found.oid, policy)
        found = replace(found, keyed=indexes.keyed)
    method, reason = choose(found, policy)
    notes = (None if meaning.same else f"{meaning.why} {KEPT}", _not_skipped(current, policy))
    weighed = weigh(session, manifest.matview, found, current, policy)
    if weighed:
        method = weighed.choice.method
    return Decision(
        Action.REFRESH,
        method,
        current,
        " ".join(filter(None, notes)) or None,
        reason=reason,
        weighed=weighed,
        why=meaning.why,
        adopted=meaning.same and meaning.there is None,
        indexes=indexes,
    )


def _not_skipped(current: Stamp | None, policy: Policy) -> str | None:
    """What is told of a run that might have been skipped, but for what an audit has found."""
    if current is None or current.distrust is None or not policy.skip_unchanged:
        return None
    return f"Not skipped: an audit found it wrong {current.distrust}."


def _refuse_type(session: Session, manifest: Manifest) -> None:
    try:
        row = session.row(TYPE, schema=manifest.matview.schema, name=manifest.matview.name)
    except psycopg2.Error as error:
        raise judged(error) from error
    if row is not None:
        raise TableTaken(table_name=manifest.table_name, kind=row.kind)


def _is_in_step(manifest: Manifest, found: Found, current: Stamp | None, policy: Policy) -> bool:
    """Whether the indexes needn't be looked at: the SQL is the one that the matview bears the stamp of, or
    its old definition is kept, and with it what belongs to it."""
    if current is None or current.source != manifest.source(policy.allowed_functions):
        return True
    wants_key = any(index.unique for index in policy.indexes)
    there = stamp.read(found.comment)
    is_known = there is not None and there.source == current.source
    return is_known and (found.keyed or not wants_key)


def _index_difference(session: Session, oid: int, policy: Policy) -> IndexChanges:
    try:
        return indexing.index_changes(indexing.existing(session, oid), policy.indexes)
    except psycopg2.Error as error:
        raise judged(error) from error


def verify_feasible(
    session: Session, manifest: Manifest, found: Found, decision: Decision, policy: Policy
) -> None:
    """Raise the error with which the decided action is certain to fail. Leaves nothing behind."""
    if decision.action is Action.REFRESH and found.oid is not None:
        refuse_unfit_as_it_is(session, manifest, found.oid, decision, policy)
    if decision.action is not Action.REFRESH:
        refuse_unfit(session, manifest.query, policy)
        refuse_functions(session, manifest.query, policy.allowed_functions, policy.as_manifest)
    if found.oid is not None and (decision.action is Action.REBUILD or decision.method is Method.SWAP):
        query = manifest.query if decision.action is Action.REBUILD else None
        try:
            swapping.verify_swap_feasible(session, manifest.matview, found.oid, query, policy)
        except psycopg2.Error as error:
            raise judged(error) from error


def refuse_unfit_as_it_is(
    session: Session, manifest: Manifest, oid: int, decision: Decision, policy: Policy
) -> None:
    """Raise DirectiveUnfit if a directive doesn't fit the columns of a matview that keeps its definition."""
    kept = f"{manifest.table_name}, which keeps its old definition (SEEDER_ON_QUERY_CHANGE=keep)"
    # Its indexes are looked at no more than its SQL.
    asked = replace(policy, indexes=()) if decision.why and decision.indexes is None else policy
    try:
        refuse_unfit_to(session, str(oid), asked, kept if decision.why else "the query")
    except psycopg2.Error as error:
        raise judged(error) from error
