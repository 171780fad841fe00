"""What is frozen: the stamps of each database, and the rows of status, held against the manifests."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg2

from seeder.equipment import Equipment
from seeder.history import HistoryRepository
from seeder.history.abandoned import Key, Remembered
from seeder.history.watching import RecordWatch
from seeder.maintenance.frozen.places import Places
from seeder.maintenance.frozen.reports import (
    FrozenMatview,
    FrozenReports,
    FrozenStatus,
    Kept,
    Unreachable,
    Why,
)
from seeder.manifests import ManifestReader
from seeder.matviews import Stamped, stamped_matviews
from seeder.postgres.databases import Databases
from seeder.postgres.failures import one_line
from seeder.run_ids import read_identity


def places_now(databases: Databases, manifests: ManifestReader, schema: str) -> tuple[Places, str]:
    """Where the manifests' matviews are, and the versions of the manifests before they were read."""
    versions = versions_now(databases, schema)
    with databases.session() as session:
        on, off = manifests.on_and_off(session)
    return Places.of(on, off, databases), versions


def versions_now(databases: Databases, schema: str) -> str:
    """Other than before where any manifest has changed, come or gone since."""
    with databases.session() as session:
        return str(RecordWatch(databases, schema).state(session, with_manifests=True).manifests)


def find_frozen(equipment: Equipment) -> FrozenReports:
    """`find`, of a process' own."""
    return find(equipment.databases, equipment.manifests, equipment.history, equipment.settings.db_schema)


def find(
    databases: Databases, manifests: ManifestReader, history: HistoryRepository, schema: str
) -> FrozenReports:
    """All that is frozen. Raises psycopg2.Error and SchemaIncomplete of the reporting database; another that
    can't be reached is told of."""
    places, versions = places_now(databases, manifests, schema)
    matviews: list[FrozenMatview] = []
    unreachable: list[Unreachable] = []
    for database_id in databases:
        if databases.first_name(database_id) != database_id:
            continue
        try:
            with databases.session(database_id) as session:
                found = stamped_matviews(session, places.names_on(database_id))
        except psycopg2.Error as error:
            if database_id is None:
                raise
            unreachable.append(Unreachable(database_id, databases.scrubbed(one_line(error))))
            continue
        matviews += _judged(database_id, found, places)
    matviews = _with_record(matviews, history, schema, nothing_left=places.is_empty)
    return FrozenReports(
        tuple(one for one in matviews if one.why is not Why.OFF),
        tuple(one for one in matviews if one.why is Why.OFF),
        tuple(_statuses(history, places, matviews, all_asked=not unreachable)),
        tuple(unreachable),
        versions,
    )


def _judged(database_id: int | None, found: list[Stamped], places: Places) -> Iterator[FrozenMatview]:
    for one in found:
        verdict = places.verdict(database_id, one)
        if verdict is not None:
            why, manifest = verdict
            yield FrozenMatview(
                database_id,
                one,
                str(one.name),
                why,
                now_table=manifest.table_name if manifest else None,
                now_database_id=manifest.database_id if manifest else None,
            )


def _with_record(
    matviews: list[FrozenMatview], history: HistoryRepository, schema: str, *, nothing_left: bool
) -> list[FrozenMatview]:
    """With what the record knows of each, and whether it may go."""
    wanted = [key for one in matviews for key in _keys_of(one, schema)]
    remembered = history.abandoned.remembered(wanted)
    told = []
    for one in matviews:
        # Under both ways to write the name it is one table; the one that was refreshed last is its name.
        known = [(key[0], remembered[key]) for key in _keys_of(one, schema) if key in remembered]
        table_name, its = max(known, key=_last_success, default=(one.table_name, None))
        if its:
            one = replace(
                one,
                table_name=table_name,
                report_name=its.report_name,
                agency_id=its.agency_id,
                agency_slug=its.agency_slug,
                # The record doesn't say on which database.
                last_refreshed=None if one.why is Why.MOVED else its.last_success,
            )
        told.append(replace(one, kept=_kept(one, recorded=its is not None, nothing_left=nothing_left)))
    return told


def _kept(one: FrozenMatview, *, recorded: bool, nothing_left: bool) -> Kept | None:
    its = one.stamped
    reasons = {
        Kept.OFF: one.why is Why.OFF,
        Kept.NO_MANIFESTS: nothing_left,
        Kept.UNRECORDED: not recorded,
        Kept.NOT_OWNED: not (its.owns or its.may_become),
        Kept.BUILT_ON: bool(its.built_on),
        Kept.BUSY: its.held,
    }
    return next((kept for kept, holds in reasons.items() if holds), None)


def _last_success(known: tuple[str, Remembered]) -> float:
    return known[1].last_success.timestamp() if known[1].last_success else 0.0


def _keys_of(one: FrozenMatview, schema: str) -> Iterator[Key]:
    """How the record may have written its name: a bare one belongs to the schema."""
    name, identity = one.stamped.name, one.manifest
    try:
        read = read_identity(identity)
    except ValueError:
        return
    yield str(name), *read
    if name.schema == schema:
        yield name.name, *read


def _statuses(
    history: HistoryRepository, places: Places, matviews: list[FrozenMatview], *, all_asked: bool
) -> Iterator[FrozenStatus]:
    by_table = {one.table_name: one for one in matviews}
    for row in history.abandoned.statuses_of_others(places.table_names):
        if row.identity in places.unclear:
            # Its manifest is there; which name it would have is what can't be told.
            continue
        matview = by_table.get(row.table_name)
        reasons = {
            Kept.NO_MANIFESTS: places.is_empty,
            Kept.BUSY: row.unfinished,
            Kept.MATVIEW: matview is not None and matview.kept is not None,
            Kept.UNREACHABLE: matview is None and not all_asked,
        }
        yield FrozenStatus(row, next((kept for kept, holds in reasons.items() if holds), None))
