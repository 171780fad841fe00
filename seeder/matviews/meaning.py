"""Is the matview what its manifest asks for? By what PostgreSQL means, not by how it is written.

PostgreSQL is asked only where the stamp can't tell: a look at its own words takes three round trips, which is
more than the refresh of a small matview.
"""

from dataclasses import dataclass, replace

from seeder.manifests import Manifest
from seeder.matviews import stamp
from seeder.matviews.adopt import same_meaning
from seeder.matviews.lock import Found
from seeder.matviews.policy import Policy
from seeder.matviews.stamp import Stamp
from seeder.prepared import Prepared
from seeder.session import Session

#: A hash of the names of all columns of all that the matview reads: what a ``*`` stands for can only change
#: when this does. The first 16 digits, since the stamp is read by people too.
SHAPE = Prepared(
    "shape",
    (
        """
select left(encode(sha256(convert_to(coalesce(string_agg(
    format('%I.%I.%I', n.nspname, c.relname, a.attname), ' ' order by n.nspname, c.relname, a.attnum
), ''), 'UTF8')), 'hex'), 16) as shape
from (
    select distinct d.refobjid
    from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where r.ev_class = cast(%(oid)s as oid)
      and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
) as source
join pg_class c on c.oid = source.refobjid
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
""",
    ),
)


@dataclass(frozen=True)
class Meaning:
    """How the matview stands to its manifest."""

    same: bool
    #: The stamp that it has, and the one that it should have.
    there: Stamp | None
    wanted: Stamp


def compare(session: Session, manifest: Manifest, oid: int, found: Found, policy: Policy) -> Meaning:
    """Raises QueryFailed where PostgreSQL has to be asked and can't resolve the manifest's query."""
    there = stamp.read(found.comment)
    source = manifest.source(policy.allowed_functions)
    stamped = there and (there.manifest, there.source) == (manifest.identity, source)
    # Then neither is the query rendered nor the guard asked, nor PostgreSQL where there is no `*`.
    if there and stamped and (there.shape == "" or (there.shape and there.shape == _shape(session, oid))):
        return Meaning(True, there, there)
    query = manifest.query
    # Read before PostgreSQL is asked: what changes in between is seen by the next run.
    shape = _shape(session, oid) if query.expands else ""
    wanted = Stamp(manifest.identity, source, query.fingerprint, None, shape)
    if there:
        # What it says of the rows stays true.
        wanted = replace(
            there, manifest=wanted.manifest, source=source, fingerprint=wanted.fingerprint, shape=shape
        )
    told = there and there.fingerprint == query.fingerprint and (not shape or there.shape == shape)
    return Meaning(bool(told) or same_meaning(session, oid, query, policy), there, wanted)


def new_stamp(manifest: Manifest, policy: Policy) -> Stamp:
    """For a matview that is made of the manifest's query now."""
    query = manifest.query
    # What a `*` reads is known when the matview is there; the next run looks.
    shape = None if query.expands else ""
    return Stamp(manifest.identity, manifest.source(policy.allowed_functions), query.fingerprint, None, shape)


def _shape(session: Session, oid: int) -> str:
    return str(session.row(SHAPE, oid=oid).shape)
