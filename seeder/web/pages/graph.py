"""The page that draws what reads what: all of it, or around a report, of an agency, or of a night."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import psycopg2
import structlog
from fastapi import APIRouter, HTTPException, Query, Request, Response

from seeder.errors import UnknownAgency, UnknownTable
from seeder.history import Standing
from seeder.manifests import Manifest
from seeder.matviews.insight.lineage import Relation, leaves
from seeder.monitoring import MonitoredJob, Snapshot
from seeder.postgres.failures import one_line
from seeder.run_ids import identity_of
from seeder.seedings.graph import Graph
from seeder.web.api.answers import Asked, Text
from seeder.web.drawing.graph import Drawing, drawn
from seeder.web.pages.reads import reads_of
from seeder.web.pages.rendering import page
from seeder.web.services import Services, services

router = APIRouter(include_in_schema=False)

log = structlog.get_logger(__name__)

#: More boxes make no picture. The table beside it has so many rows at most.
MOST_BOXES = 300
MOST_ROWS = 1000


class GraphAsked(Asked):
    """At most one of them is asked for: the first counts."""

    table: Annotated[Text | None, Query()] = None
    agency: Annotated[Text | None, Query()] = None
    seeding: Annotated[Text | None, Query()] = None


@dataclass(frozen=True)
class Node:
    """A report, or a relation that reports read."""

    name: str
    job: MonitoredJob | None = None
    #: Of the night that was asked for, or of its last run; None is never run.
    standing: Standing | None = None
    #: The kind of a relation that is no report's.
    kind: str = ""


@dataclass(frozen=True)
class View:
    nodes: Mapping[str, Node]
    #: What each reads, and who reads it, among them.
    reads: Mapping[str, Sequence[str]]
    read_by: Mapping[str, Sequence[str]]
    #: None where they are too many to draw.
    drawing: Drawing | None
    #: Reports that aren't shown, as they neither read another report nor are read.
    alone: int
    #: Around what: a table's, an agency's or a seeding's name.
    around: str | None
    most_boxes: int = MOST_BOXES

    @property
    def reports(self) -> list[str]:
        """By name; the first of them."""
        named = ((node.name, key) for key, node in self.nodes.items() if node.job)
        return [key for _, key in sorted(named)][:MOST_ROWS]

    @property
    def report_count(self) -> int:
        return sum(node.job is not None for node in self.nodes.values())


@router.get("/graph")
async def graph(request: Request, asked: Annotated[GraphAsked, Query()]) -> Response:
    here = services(request)
    snapshot = await here.live.fresh()
    view = await here.read(_viewed, here, snapshot, asked)
    return page(request, "graph.html", section="graph", view=view, asked=asked)


def _viewed(here: Services, snapshot: Snapshot, asked: GraphAsked) -> View:
    found = reads_of(here, snapshot)
    manifests, whole = found.manifests, found.graph
    jobs = {one.identity: one for one in snapshot.jobs if one.identity in manifests}
    chosen, standings = _chosen(here, snapshot, asked, whole, jobs)
    inner = whole.within(chosen)
    linked = inner.reads.keys() | inner.read_by.keys()
    if asked.table is None:
        chosen = chosen & linked
    nodes = {
        one: Node(jobs[one].job.table_name, jobs[one], standings.get(one, jobs[one].job.standing))
        for one in chosen
    }
    edges = {(source, reader) for reader in chosen for source in inner.sources(reader)}
    if len(nodes) <= MOST_BOXES:
        for reader, relations in _relations(here, [manifests[one] for one in chosen]).items():
            for relation in relations:
                name = f"{relation.schema}.{relation.name}"
                nodes[name] = Node(name, kind=relation.kind_in_words)
                edges.add((name, reader))
    reads: dict[str, list[str]] = {}
    read_by: dict[str, list[str]] = {}
    for source, reader in sorted(edges, key=lambda edge: (nodes[edge[0]].name, nodes[edge[1]].name)):
        reads.setdefault(reader, []).append(source)
        read_by.setdefault(source, []).append(reader)
    drawable = 0 < len(nodes) <= MOST_BOXES
    return View(
        nodes,
        reads,
        read_by,
        drawn({key: node.name for key, node in nodes.items()}, edges) if drawable else None,
        alone=len(jobs.keys() - linked) if _is_all(asked) else 0,
        around=asked.table or asked.agency or asked.seeding,
    )


def _is_all(asked: GraphAsked) -> bool:
    return asked.table is None and asked.agency is None and asked.seeding is None


def _chosen(
    here: Services,
    snapshot: Snapshot,
    asked: GraphAsked,
    whole: Graph,
    jobs: Mapping[str, MonitoredJob],
) -> tuple[frozenset[str], Mapping[str, Standing]]:
    """Which reports are shown, and how their runs of the night that was asked for went."""
    if asked.table is not None:
        own = {one.identity for one in snapshot.of_table(asked.table)} & jobs.keys()
        if not own:
            raise UnknownTable(table_name=asked.table)
        found = own | whole.upstream(own) | whole.downstream(own)
    elif asked.agency is not None:
        own = {key for key, one in jobs.items() if one.job.agency_slug == asked.agency}
        if not own:
            raise UnknownAgency(agency_slug=asked.agency, of_type="")
        found = own.union(other for one in own for other in (*whole.sources(one), *whole.readers(one)))
    elif asked.seeding is not None:
        runs = here.nights.runs(asked.seeding)
        if not runs:
            raise HTTPException(404, f"There is no seeding {asked.seeding}; /nights lists those there are.")
        standings = {identity_of(run.run_id): run.standing for run in runs}
        return frozenset(standings.keys() & jobs.keys()), standings
    else:
        found = set(jobs)
    return frozenset(found & jobs.keys()), {}


def _relations(here: Services, manifests: Sequence[Manifest]) -> Mapping[str, Sequence[Relation]]:
    """By identity what each reads that is no view and no report's matview, as far as their databases tell."""
    databases = here.equipment.databases
    own = {(one.matview.schema, one.matview.name) for one in manifests}
    places: dict[int | None, list[Manifest]] = {}
    for one in manifests:
        places.setdefault(databases.first_name(one.database_id), []).append(one)
    found: dict[str, list[Relation]] = {}
    for database_id, there in places.items():
        try:
            with databases.session(database_id) as session:
                listed = leaves(session, [one.matview for one in there])
        except psycopg2.Error as error:
            reason = databases.scrubbed(one_line(error))
            log.warning("what reports read can't be asked", database_id=database_id, reason=reason)
            continue
        for one in there:
            found[one.identity] = [
                relation
                for relation in listed.get(one.matview, ())
                if (relation.schema, relation.name) not in own
            ]
    return found
