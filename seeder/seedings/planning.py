"""What a seeding runs, in which order, each matview once."""

import secrets
import string
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from seeder.broker.planned import Planned
from seeder.broker.queues import RUN_PRIORITIES
from seeder.config.settings import Settings
from seeder.errors import UnknownAgency, UnknownReportType, UnknownTable
from seeder.history import NewRun, Refusal
from seeder.manifests import Manifest, owned
from seeder.models import ReportType
from seeder.schedule.ticks import latest_tick

#: Beat fires a moment after the tick; a clock that differs between hosts may fire a moment before it.
CLOCK_TOLERANCE = timedelta(seconds=5)


@dataclass(frozen=True)
class Selection:
    """Which manifests a seeding is about; None is all."""

    report_type: str | None = None
    agency_slug: str | None = None
    table_name: str | None = None
    #: As ``custom-12``.
    identities: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.report_type is not None and self.report_type not in list(ReportType):
            raise UnknownReportType(report_type=self.report_type)

    def takes(self, manifest: Manifest) -> bool:
        return (
            self.report_type in (None, manifest.report_type)
            and self.agency_slug in (None, manifest.agency_slug)
            and self.table_name in (None, manifest.table_name, manifest.raw_table_name)
            and (self.identities is None or manifest.identity in self.identities)
        )


@dataclass(frozen=True)
class Plan:
    seeding_id: str
    planned: tuple[Planned, ...]
    refusals: tuple[Refusal, ...]


def plan(
    seeding_id: str,
    manifests: Sequence[Manifest],
    selection: Selection,
    databases: Container[int | None],
    usual_seconds: Mapping[str, int],
) -> Plan:
    """The runs of a seeding, the longest first, so that none of them is left to run alone at the end.

    Ownership of shared tables is settled over all manifests, whatever the selection; a selected manifest that
    shares another's matview has the owner's run do it. ``usual_seconds`` maps a table_name to how long its
    last run took.

    Raises UnknownAgency or UnknownTable where the selection takes nothing.
    """
    shared = owned(manifests, databases)
    selected = select(manifests, selection)
    refused = {manifest.identity: error for manifest, error in shared.refused}
    owners = {
        owner.identity: owner
        for owner in (shared.sharers.get(one.identity, one) for one in selected)
        if owner.identity not in refused
    }
    longest_first = sorted(
        owners.values(), key=lambda one: (-usual_seconds.get(one.table_name, 0), one.table_name)
    )
    return Plan(
        seeding_id,
        tuple(
            Planned(new_run(seeding_id, one), one.database_id, priority, usual_seconds.get(one.table_name, 0))
            for one, priority in zip(longest_first, _priorities(longest_first, usual_seconds), strict=True)
        ),
        tuple(
            # Without a name there is no row that a status could have.
            Refusal(
                new_run(seeding_id, one),
                str(refused[one.identity]),
                shown=bool(one.table_name) and one.identity not in shared.guests,
            )
            for one in selected
            if one.identity in refused
        ),
    )


def select(manifests: Sequence[Manifest], selection: Selection) -> list[Manifest]:
    """Those that the selection takes. Raises UnknownAgency or UnknownTable where it takes none."""
    selected = [manifest for manifest in manifests if selection.takes(manifest)]
    if not selected:
        _raise_unknown(selection)
    return selected


def new_run(seeding_id: str, manifest: Manifest) -> NewRun:
    """The run of a manifest in a seeding. The contract's columns are not null: what is missing is empty."""
    return NewRun(
        run_id=f"{seeding_id}.{manifest.identity}",
        report_type=manifest.report_type,
        manifest_id=manifest.manifest_id,
        table_name=manifest.table_name,
        report_name=manifest.report_name,
        agency_id=manifest.agency_id or 0,
        agency_slug=manifest.agency_slug,
    )


def scheduled_seeding_id(settings: Settings, now: datetime) -> str:
    """The seeding of the schedule's latest tick, ``20261123T0200Z``, however often that tick fires."""
    latest = latest_tick(settings.schedule, settings.zone, now + CLOCK_TOLERANCE)
    return seeding_of(latest)


def seeding_of(tick: datetime) -> str:
    """The id of the seeding that belongs to a tick of the schedule: ``20261123T0200Z``."""
    return tick.astimezone(UTC).strftime("%Y%m%dT%H%MZ")


def adhoc_seeding_id(now: datetime) -> str:
    """A seeding somebody asked for, ``20261123T091502Z-k3f9``."""
    suffix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(4))
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{suffix}"


def _priorities(longest_first: Sequence[Manifest], usual_seconds: Mapping[str, int]) -> Iterable[int]:
    """Each step gets a third of the usual time: a few long runs in the first, many short in the last."""
    whole = sum(usual_seconds.get(one.table_name, 0) for one in longest_first)
    before = 0
    for one in longest_first:
        share = len(RUN_PRIORITIES) * before // whole if whole else len(RUN_PRIORITIES)
        yield RUN_PRIORITIES[min(share, len(RUN_PRIORITIES) - 1)]
        before += usual_seconds.get(one.table_name, 0)


def _raise_unknown(selection: Selection) -> None:
    if selection.table_name is not None:
        raise UnknownTable(table_name=selection.table_name)
    if selection.agency_slug is not None:
        of_type = f" of type {selection.report_type}" if selection.report_type else ""
        raise UnknownAgency(agency_slug=selection.agency_slug, of_type=of_type)
