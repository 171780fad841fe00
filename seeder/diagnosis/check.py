"""Finds everything that can be known to be wrong with manifests without running any of them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import psycopg2

from seeder.diagnosis.ordering import Sources, sources_of, warnings_of_order
from seeder.diagnosis.search_path import passed_over
from seeder.diagnosis.survey import looking, survey
from seeder.errors import DatabaseUnreachable, ManifestError, QueryFailed, SeederError
from seeder.manifests import Manifest, owned
from seeder.matviews import Action, Policy, decide, glance, verify_feasible
from seeder.matviews.query.analysis import analyse, resolve
from seeder.matviews.query.estimate import estimate
from seeder.matviews.query.rights import Rights, rights, with_reader
from seeder.postgres.databases import Databases, named_elsewhere
from seeder.postgres.failures import in_place, judged
from seeder.postgres.session import Session
from seeder.seedings.graph import Graph
from seeder.seedings.planning import UNORDERED, Selection, select
from seeder.sql import directives
from seeder.wording import shortened

#: What of a manifest speaks by raising, beside what ``Manifest.verify`` asks; none needs a database.
PARTS = ("query", "directives", "after")

#: SQLSTATEs about a constant's value rather than the query's shape: an agency's slug that is no number.
ABOUT_A_VALUE = "22"

#: A warning: somebody may still want what goes.
UNMANAGED = (
    "{manifest.identity} {manifest.table_name}: {unmanaged} The next run puts the manifest's in its place. "
    "Rename it or the manifest's table_name, or set SEEDER_ON_QUERY_CHANGE to error or keep."
)

#: A warning: nothing fails by it.
SUPERUSER = (
    "Manifests ({count}) run with the rights of {reader}, a superuser{place}: whoever writes one can read "
    "everything there. Set SEEDER_MANIFEST_ROLE to a role of their own (docs/security.md), and have it own "
    "the matviews that are there already."
)


@dataclass(frozen=True)
class Problem:
    """A problem, and the manifest or database that has it."""

    where: str
    agency_slug: str | None
    problem: str


@dataclass(frozen=True)
class Findings:
    #: How many manifests were looked at.
    manifests: int
    #: What a run would fail with.
    problems: tuple[Problem, ...]
    #: What may fail, each said once however many manifests it is about.
    warnings: tuple[str, ...]


def check_manifests(
    databases: Databases,
    manifests: Sequence[Manifest],
    selection: Selection,
    policy: Policy,
    tell: Callable[[int], object] = lambda _: None,
    graph: Graph = UNORDERED,
) -> Findings:
    """Check the selected manifests; a shared table is checked once, for its owner.

    `graph` tells by identity what each reads. `tell` is called, from several threads, with how many more of
    them are done. Raises UnknownAgency or UnknownTable.
    """
    shared = owned(manifests, databases)
    selected = {one.identity for one in select(manifests, selection)}
    problems = [_problem(one, error) for one, error in shared.refused if one.identity in selected]
    wanted = selected | {shared.sharers[one].identity for one in selected if one in shared.sharers}
    owners = [one for one in shared.owners if one.identity in wanted]
    sources = sources_of(graph, manifests)
    readable: list[tuple[Manifest, Policy]] = []
    for manifest in owners:
        found = _unusable_parts(manifest)
        if circle := sources.circular(manifest.identity):
            problems.append(_problem(manifest, circle))
        try:
            readable += [] if found else [(manifest, policy.of_manifest(manifest.directives))]
        except ManifestError as error:
            found = [_problem(manifest, error)]
        problems += found
    tell(len(selected) - len(readable))
    by_identity = rights_of_all(databases, readable)
    problems += dict.fromkeys(found for found in by_identity.values() if isinstance(found, Problem))
    allowed = {key: found for key, found in by_identity.items() if isinstance(found, Rights)}

    def ask(group: Sequence[Manifest]) -> list[tuple[list[Problem], list[str]]]:
        own = policy.of_manifest(group[0].directives)
        with looking(databases, group[0].database_id, own.limits) as session:
            judge = Judge(session, own, allowed, sources)
            answers = []
            for manifest in group:
                answers.append(judge.judge(manifest))
                tell(1)
            return answers

    groups = _of_one_shape([one for one, _ in readable if one.identity in allowed], allowed)
    answers = list(chain(*survey(ask, groups)))
    problems += chain(*(found for found, _ in answers))
    usable = [(one, own) for one, own in readable if one.identity in allowed]
    places = {(one.database_id, own.role): (one.database_id, own) for one, own in usable}
    warnings = dict.fromkeys(
        chain(
            passed_over(databases, places.values()),
            _superusers(readable, allowed),
            *map(_missed_directives, owners),
            warnings_of_order(databases, manifests, owners),
            *(found for _, found in answers),
        )
    )
    order = {one.identity: number for number, one in enumerate(manifests)}
    problems.sort(key=lambda one: order.get(one.where.partition(" ")[0], -1))
    return Findings(len(selected), tuple(problems), tuple(warnings))


def rights_of_all(
    databases: Databases, manifests: Sequence[tuple[Manifest, Policy]]
) -> dict[str, Rights | Problem]:
    """By identity what each manifest's role may do, or what is wrong with its whole database or role."""
    places: dict[tuple[int | None, str | None], list[tuple[Manifest, Policy]]] = {}
    for manifest, own in manifests:
        places.setdefault((manifest.database_id, own.role), []).append((manifest, own))
    told: dict[str, Rights | Problem] = {}
    for (database_id, _), there in places.items():
        found = _rights_or_problem(databases, database_id, [one for one, _ in there], there[0][1])
        for one, _ in there:
            told[one.identity] = found if isinstance(found, Problem) else found[str(one.matview)]
    return told


def _rights_or_problem(
    databases: Databases, database_id: int | None, manifests: Sequence[Manifest], policy: Policy
) -> dict[str, Rights] | Problem:
    """By matview what the policy's role may do, or what is wrong with the database altogether."""
    matviews = [one.matview for one in manifests]
    where = "reporting database" if database_id is None else f"database {database_id}"
    try:
        databases.verify(database_id)
        with looking(databases, database_id, policy.limits) as session:
            return rights(session, matviews, policy.set_role)
    except DatabaseUnreachable as error:
        return Problem(where, None, str(error))
    except psycopg2.Error as error:
        return Problem(where, None, databases.scrubbed(str(judged(error))))


class Judge:
    """Judges manifests of one shape, which differ in nothing but the constants of their SQL.

    The first is analysed whole. What its like reads, calls and may is the same, so of the others only what a
    constant can be wrong with is left to ask.
    """

    def __init__(
        self, session: Session, policy: Policy, allowed: dict[str, Rights], sources: Sources
    ) -> None:
        self._session = session
        self._policy = policy
        self._allowed = allowed
        self._sources = sources
        self._known = False
        self._of_all: SeederError | None = None

    def judge(self, manifest: Manifest) -> tuple[list[Problem], list[str]]:
        """Problems of this manifest, and warnings."""
        errors: list[SeederError] = []
        warnings: list[str] = []
        its_rights = self._allowed[manifest.identity]
        if its_rights.problem:
            errors.append(its_rights.problem)
        try:
            warnings += self._analyse(manifest, its_rights)
        except QueryFailed as error:
            # What it is about stays known by its cause.
            errors.append(with_reader(error, its_rights.reader))
        except SeederError as error:
            errors.append(error)
        try:
            found = glance(self._session, manifest.matview, self._policy.limits.search_path)
            decision = decide(self._session, manifest, found, self._policy)
            if decision.action is Action.REBUILD and decision.unmanaged:
                warnings.append(UNMANAGED.format(manifest=manifest, unmanaged=decision.unmanaged))
            if decision.action is not Action.CREATE:
                verify_feasible(self._session, manifest, found, decision, self._policy)
        except SeederError as error:
            errors.append(error)
        except psycopg2.Error as error:
            errors.append(judged(error))
        path = self._policy.limits.search_path
        errors = [one for one in errors if not self._sources.are_unmade(self._session, manifest, one, path)]
        where, own = named_elsewhere(manifest.database_id), self._policy.limits.directive
        words = dict.fromkeys(str(in_place(error, where, own)) for error in errors)
        return [_problem(manifest, error) for error in words], warnings

    def _analyse(self, manifest: Manifest, its: Rights) -> list[str]:
        if self._of_all:
            raise self._of_all
        if self._known:
            resolve(self._session, manifest.query, self._policy)
            return []
        try:
            found = analyse(self._session, manifest.query, self._policy, as_role=its.as_role)
            if its.ask_reader:
                estimate(self._session, manifest.query, replace(self._policy, role=its.reader))
        except ManifestError as error:
            cause = error.__cause__
            state = cause.pgcode if isinstance(cause, psycopg2.Error) else None
            if not (state or "").startswith(ABOUT_A_VALUE):
                self._of_all = error
            raise
        self._known = True
        named = f"{manifest.identity} {manifest.table_name}: {found.elsewhere}"
        return [*found.warnings, *([named] if found.elsewhere else [])]


def _of_one_shape(manifests: Sequence[Manifest], allowed: dict[str, Rights]) -> list[list[Manifest]]:
    """Manifests of one text on one database whose placeholders stand for constants of the same types, so that
    PostgreSQL reads the same into all of them."""
    groups: dict[tuple[object, ...], list[Manifest]] = {}
    for one in manifests:
        shape = (
            one.database_id,
            one.raw_query,
            allowed[one.identity].as_role,
            allowed[one.identity].reader,
            *(_type_of(number) for number in (one.agency_id, one.manifest_id)),
        )
        groups.setdefault(shape, []).append(one)
    return list(groups.values())


def _type_of(number: int | None) -> tuple[bool, bool]:
    """A number below zero is an operator's result; one of more than 31 bits is a bigint."""
    return (number or 0) < 0, (number or 0).bit_length() > 31


def _superusers(readable: Sequence[tuple[Manifest, Policy]], allowed: dict[str, Rights]) -> Iterator[str]:
    """Said once for each superuser and database, however many manifests it is about."""
    readers = Counter(
        (one.database_id, allowed[one.identity].reader)
        for one, _ in readable
        if one.identity in allowed and allowed[one.identity].superuser
    )
    for (database_id, reader), count in readers.items():
        where = named_elsewhere(database_id)
        yield SUPERUSER.format(count=count, reader=reader, place=f" of {where}" if where else "")


def _missed_directives(manifest: Manifest) -> list[str]:
    try:
        lines = directives.missed(manifest.raw_query)
    except ManifestError:
        # It can't be scanned, which is told as a problem.
        return []
    return [
        f"{manifest.identity} {manifest.table_name}: the comment in line {line} of its SQL is no directive; "
        "write -- seeder: with a colon."
        for line in lines
    ]


def _unusable_parts(manifest: Manifest) -> list[Problem]:
    # By their words: one that is read by way of another raises its error twice.
    problems: dict[Problem, None] = {}
    for part in PARTS:
        try:
            getattr(manifest, part)
        except ManifestError as error:
            problems[_problem(manifest, error)] = None
    return list(problems)


def _problem(manifest: Manifest, error: SeederError | str) -> Problem:
    return Problem(f"{manifest.identity} {manifest.table_name}", manifest.agency_slug, shortened(str(error)))
