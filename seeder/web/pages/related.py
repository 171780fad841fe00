"""The reports and relations beside a job: what its query reads, what reads it, and what its run waits for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from seeder.matviews.insight.lineage import Relation
from seeder.monitoring import MonitoredJob, Snapshot
from seeder.run_ids import identity_of


@dataclass(frozen=True)
class Related:
    """A relation beside the matview; with the job whose matview it is, if it is one's."""

    name: str
    kind: str
    through: str | None
    job: MonitoredJob | None


def related(snapshot: Snapshot, schema: str, listed: Sequence[Relation]) -> list[Related]:
    """``schema``: the default one. Bare names are of it, so a matview may bear either name in the record."""
    found_so_far = []
    for relation in listed:
        name = f"{relation.schema}.{relation.name}"
        found = snapshot.of_table(name)
        if not found and relation.schema == schema:
            found = snapshot.of_table(relation.name)
        is_matview = relation.kind == "m" and bool(found)
        found_so_far.append(
            Related(
                name,
                relation.kind_in_words,
                relation.through,
                found[0] if is_matview else None,
            )
        )
    return sorted(found_so_far, key=lambda one: (one.job is None, one.name))


def tables_of(snapshot: Snapshot, run_ids: Collection[str]) -> list[str]:
    """The tables of runs, by name; of one whose manifest is gone its run_id."""
    wanted = {identity_of(run_id): run_id for run_id in run_ids}
    names = {one.identity: one.job.table_name for one in snapshot.jobs if one.identity in wanted}
    return sorted(names.get(identity, run_id) for identity, run_id in wanted.items())
