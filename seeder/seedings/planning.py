"""What a seeding runs, in which order, each matview once."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from seeder.broker.planned import Planned
from seeder.config.settings import OnUpstreamError, Settings
from seeder.errors import (
    CircularReads,
    SeederError,
    UnknownAgency,
    UnknownReportType,
    UnknownTable,
    UpstreamFailed,
)
from seeder.history import NewRun, Refusal
from seeder.manifests import Manifest, owned
from seeder.manifests.sharing import Shared
from seeder.models import ReportType
from seeder.run_ids import run_id_of, tick_seeding_id
from seeder.schedule.ticks import latest_tick
from seeder.seedings.critical_path import in_order, unlimited
from seeder.seedings.graph import Graph
from seeder.wording import first_line

#: Beat fires a moment after the tick; a clock that differs between hosts may fire a moment before it.
CLOCK_TOLERANCE = timedelta(seconds=5)


#: Where nothing is known of what reads what.
UNORDERED = Graph()


@dataclass(frozen=True)
class Selection:
    """Which manifests a seeding is about; None is all."""

    report_type: str | None = None
    agency_slug: str | None = None
    table_name: str | None = None
    #: As ``custom-12``.
    identities: frozenset[str] | None = None
    #: Beside what is selected all that it reads, at any depth.
    upstream: bool = False
    #: Beside what is selected all that reads it, at any depth.
    downstream: bool = False

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
    #: Each after those of them that it waits for.
    planned: tuple[Planned, ...]
    refusals: tuple[Refusal, ...]
    #: Runs that end as soon as they are recorded, as what they read is refused: each with its words.
    not_run: tuple[tuple[NewRun, str], ...] = ()
    #: Of each planned run the tables that it reads and that this seeding doesn't refresh.
    elsewhere: Mapping[str, frozenset[str]] = field(default_factory=dict)


def plan(
    seeding_id: str,
    manifests: Sequence[Manifest],
    selection: Selection,
    databases: Container[int | None],
    usual_seconds: Mapping[str, float],
    graph: Graph = UNORDERED,
    on_upstream_error: OnUpstreamError = OnUpstreamError.SKIP,
    limit_of: Callable[[int | None], int] = unlimited,
) -> Plan:
    """The runs of a seeding: each after those of them that it reads, and of what may come that first after
    which most is left to do one after the other, so that nothing is left to run alone at the end.

    Ownership of shared tables is settled over all manifests, whatever the selection; a selected manifest that
    shares another's matview has the owner's run do it. ``usual_seconds`` maps a table_name to how long
    its runs take. ``graph`` tells by identity what each reads, ``limit_of`` of a database how many refreshes
    it takes at a time (0: any number).

    Raises UnknownAgency or UnknownTable where the selection takes nothing.
    """
    shared = owned(manifests, databases)
    selected = _with_related(select(manifests, selection), manifests, selection, shared, graph)
    names = {one.identity: one.table_name for one in manifests}
    refused: dict[str, SeederError] = {manifest.identity: error for manifest, error in shared.refused}
    chosen = {
        owner.identity: owner
        for owner in (shared.sharers.get(one.identity, one) for one in selected)
        if owner.identity not in refused
    }
    failed = [one for one in selected if one.identity in refused]
    for identity in sorted(chosen.keys() & {one for knot in graph.knots() for one in knot}):
        refused[identity] = CircularReads(circle=spelt(graph.circle(identity), names))
        failed.append(chosen.pop(identity))
    words = (
        _not_run(failed, refused, shared.guests, chosen, graph)
        if on_upstream_error is OnUpstreamError.SKIP
        else {}
    )
    owners = {identity: one for identity, one in chosen.items() if identity not in words}
    inner = graph.within(owners)
    seconds = {identity: usual_seconds.get(one.table_name, 0.0) for identity, one in owners.items()}
    databases_of = {identity: one.database_id for identity, one in owners.items()}
    ordered = in_order(inner, seconds, databases_of, limit_of)
    return Plan(
        seeding_id,
        tuple(
            Planned(
                new_run(seeding_id, owners[one]),
                databases_of[one],
                priority,
                ceil(seconds[one]),
                awaited=bool(inner.readers(one)),
                upstreams=frozenset(run_id_of(seeding_id, source) for source in inner.sources(one)),
            )
            for one, priority in ordered
        ),
        tuple(
            # Without a name there is no row that a status could have.
            Refusal(
                new_run(seeding_id, one),
                str(refused[one.identity]),
                shown=bool(one.table_name) and one.identity not in shared.guests,
            )
            for one in failed
        ),
        tuple((new_run(seeding_id, chosen[identity]), told) for identity, told in words.items()),
        {
            run_id_of(seeding_id, identity): frozenset(names[one] for one in others)
            for identity in owners
            # Not "- owners.keys()", which goes through all of these each time.
            if (others := [one for one in graph.sources(identity) if one not in owners])
        },
    )


def _with_related(
    selected: list[Manifest],
    manifests: Sequence[Manifest],
    selection: Selection,
    shared: Shared,
    graph: Graph,
) -> list[Manifest]:
    """The selected ones with what they read and what reads them, as far as that is wanted."""
    there = {shared.sharers.get(one.identity, one).identity for one in selected}
    upstream = graph.upstream(there) if selection.upstream else frozenset()
    downstream = graph.downstream(there) if selection.downstream else frozenset()
    more = (upstream | downstream) - {one.identity for one in selected}
    return [*selected, *(one for one in manifests if one.identity in more)]


def upstream_failed(table_name: str, agency_slug: str, errors: str) -> str:
    """What is recorded of a run that isn't done because that report has failed, which is the root of it."""
    reason = first_line(errors)
    end = "" if reason.endswith((".", "!", "?")) else "."
    return str(UpstreamFailed(table_name=table_name, agency_slug=agency_slug, reason=reason + end))


def _not_run(
    failed: Iterable[Manifest],
    errors: Mapping[str, SeederError],
    guests: Container[str],
    chosen: Mapping[str, Manifest],
    graph: Graph,
) -> dict[str, str]:
    """By identity, of the chosen ones, what is said of those that read what can't be refreshed."""
    roots = {one.identity: one for one in failed if one.identity not in guests}
    reach = graph.within({*chosen, *roots})
    words: dict[str, str] = {}
    for identity, root in roots.items():
        for reader in sorted(reach.downstream([identity]) & chosen.keys() - words.keys()):
            words[reader] = upstream_failed(root.table_name, root.agency_slug, str(errors[identity]))
    return words


def spelt(circle: Sequence[str], names: Mapping[str, str]) -> str:
    """A circle in words: ``a reads b, b reads a``."""
    following = (*circle[1:], circle[0])
    return ", ".join(
        f"{names[one]} reads {names[other]}" for one, other in zip(circle, following, strict=True)
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
        run_id=run_id_of(seeding_id, manifest.identity),
        report_type=manifest.report_type,
        manifest_id=manifest.manifest_id,
        table_name=manifest.table_name,
        report_name=manifest.report_name,
        agency_id=manifest.agency_id or 0,
        agency_slug=manifest.agency_slug,
    )


def scheduled_seeding_id(settings: Settings, now: datetime) -> str:
    """The seeding of the schedule's latest tick, however often that tick fires."""
    return tick_seeding_id(latest_tick(settings.schedule, settings.zone, now + CLOCK_TOLERANCE))


def _raise_unknown(selection: Selection) -> None:
    if selection.table_name is not None:
        raise UnknownTable(table_name=selection.table_name)
    if selection.agency_slug is not None:
        of_type = f" of type {selection.report_type}" if selection.report_type else ""
        raise UnknownAgency(agency_slug=selection.agency_slug, of_type=of_type)
