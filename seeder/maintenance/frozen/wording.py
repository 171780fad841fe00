"""What people are told of frozen reports: whose each is, why it is frozen, and why it stays."""

from seeder.maintenance.frozen.reports import FrozenMatview, FrozenReports, FrozenStatus, Kept, Why
from seeder.postgres.databases import named_elsewhere
from seeder.wording import listed, size

DROPPED = "Dropped by {by} (seeder prune --matviews). {whose} Its definition was:\n{definition}"

KEPT = {
    Kept.NO_MANIFESTS: "there is no manifest at all: nothing is dropped until there is one",
    Kept.OFF: "its manifest is only switched off",
    Kept.UNRECORDED: "this record has no run that made it, so another seeder may keep it: "
    "DROP MATERIALIZED VIEW it yourself",
    Kept.NOT_OWNED: "it belongs to {owner}, whose rights the connection doesn't have",
    Kept.BUILT_ON: "{built_on} is built on it",
    Kept.BUSY: "a run works on it, or is queued",
    Kept.IN_USE: "somebody reads it, or holds another lock on it",
    Kept.CHANGED: "it has changed meanwhile, or a manifest is of it again",
    Kept.MATVIEW: "its materialized view stays",
    Kept.UNREACHABLE: "its materialized view may be on a database that can't be reached",
    Kept.FAILED: "the database refused",
}

#: Names in a sentence.
NAMED = 5


def everything(found: FrozenReports) -> list[FrozenMatview | FrozenStatus]:
    """What somebody should know of, once each: a row of status with its matview."""
    return [*found.matviews, *found.alone]


def whose(one: FrozenMatview) -> str:
    """Why it is frozen, in a sentence."""
    match one.why:
        case Why.GONE:
            return f"Its manifest {one.manifest} is gone."
        case Why.OFF:
            return f"Its manifest {one.manifest} is switched off."
        case Why.RENAMED:
            return f"Its manifest {one.manifest} is of {one.now_table} by now."
        case Why.MOVED:
            where = named_elsewhere(one.now_database_id) or "the reporting database"
            return f"Its manifest {one.manifest} is of {one.now_table} on {where} by now."


def why_kept(one: FrozenMatview | FrozenStatus, kept: Kept, said: str | None = None) -> str:
    """Why it stays, as the end of a sentence."""
    if isinstance(one, FrozenStatus):
        words = KEPT[kept]
    else:
        named = listed(one.stamped.built_on, NAMED)
        words = KEPT[kept].format(owner=one.stamped.owner, built_on=named or "something")
    return f"{words} ({said})" if said else words


def as_warning(one: FrozenMatview | FrozenStatus) -> str:
    """For `seeder check`, with what to do."""
    if isinstance(one, FrozenStatus):
        return (
            f"{one.row.table_name}: no manifest names it any more ({one.row.identity} did), but it has a row "
            "of status. `seeder prune --matviews` lists it, with --yes deletes it."
        )
    where = named_elsewhere(one.database_id)
    place = f"{one.stamped.name} in {where}" if where else str(one.stamped.name)
    since = f" since {one.last_refreshed:%Y-%m-%d}" if one.last_refreshed else ""
    does = "with --yes drops it" if one.kept is None else f"and would not drop it: {why_kept(one, one.kept)}"
    return (
        f"{place}: {whose(one)} Nothing refreshes it{since} (about {size(one.stamped.about_bytes)}). "
        f"`seeder prune --matviews` lists it, {does}."
    )
