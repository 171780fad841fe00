"""Manifests that name the same table: which one owns it, which share it, and which are refused."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from seeder.errors import ManifestError, SharedTableConflict
from seeder.manifests.manifest import Manifest
from seeder.models import ReportType


@dataclass(frozen=True)
class Shared:
    """Manifests grouped by the owner of their table.

    ``owners`` have a table of their own, ``sharers`` maps the identity of a manifest that asks for the very
    same matview to its owner, ``refused`` pairs a manifest with what is wrong with it, and ``guests`` are the
    identities of those refused whose table_name, and with it its row of status, is another manifest's.
    """

    owners: tuple[Manifest, ...]
    sharers: dict[str, Manifest]
    refused: tuple[tuple[Manifest, ManifestError], ...]
    guests: frozenset[str]


def owned(manifests: Iterable[Manifest], databases: Container[int | None]) -> Shared:
    """Give each table to one manifest: custom before canned, then the lowest id.

    Whether its database is known is asked afterwards: a table doesn't change hands because SEEDER_DATABASES
    does.
    """
    owners: dict[str, Manifest] = {}
    sharers: dict[str, Manifest] = {}
    refused: list[tuple[Manifest, ManifestError]] = []
    for manifest in sorted(manifests, key=lambda m: (m.report_type != ReportType.CUSTOM, m.manifest_id)):
        try:
            manifest.verify()
            owner = owners.setdefault(str(manifest.matview), manifest)
            if owner is not manifest:
                _share(owner, manifest)
            manifest.verify_database(databases)
            if owner is not manifest:
                sharers[manifest.identity] = owner
        except ManifestError as error:
            refused.append((manifest, error))
    unusable = {manifest.identity for manifest, _ in refused}
    return Shared(
        tuple(owner for owner in owners.values() if owner.identity not in unusable),
        sharers,
        tuple(refused),
        _guests(owners.values(), refused),
    )


def _guests(owners: Iterable[Manifest], refused: Iterable[tuple[Manifest, ManifestError]]) -> frozenset[str]:
    # Where nobody owns a name, it is the first's that asks for it.
    first = {owner.table_name: owner for owner in owners}
    return frozenset(
        manifest.identity
        for manifest, error in refused
        if first.setdefault(manifest.table_name, manifest) is not manifest
        or isinstance(error, SharedTableConflict)
    )


def _share(owner: Manifest, other: Manifest) -> None:
    # The record has one row per table_name, so a name can't be used in two databases either.
    elsewhere = owner.database_id != other.database_id
    if elsewhere or _meaning(owner) != _meaning(other):
        raise SharedTableConflict(
            what="database_id" if elsewhere else "SQL",
            table_name=other.table_name,
            owner=owner.identity,
            owner_report=owner.report_name,
            owner_agency=owner.agency_slug,
        )


def _meaning(manifest: Manifest) -> Sequence[str]:
    """What two manifests of one table must agree on. Refused SQL agrees only with its like."""
    try:
        return ("accepted", manifest.query.fingerprint, str(manifest.directives))
    except ManifestError as error:
        return ("refused", manifest.raw_query, str(error))
