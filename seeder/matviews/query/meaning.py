"""Decides whether a matview still is what its manifest asks for, by its meaning and not by its spelling.

PostgreSQL is asked only where the stamp can't tell: a look at its own words takes three round trips, which is
more than the refresh of a small matview.
"""

from dataclasses import dataclass, replace

from seeder.manifests import Manifest
from seeder.matviews import stamp
from seeder.matviews.found import Found
from seeder.matviews.policy import Policy
from seeder.matviews.query.adopt import same_meaning
from seeder.matviews.query.alteration import SQL_CHANGED, Unmanaged, alteration, unmanaged
from seeder.matviews.stamp import Stamp
from seeder.postgres.session import Session


@dataclass(frozen=True)
class Meaning:
    """How the matview compares with its manifest."""

    same: bool
    #: The stamp that it has, and the one that it should have.
    there: Stamp | None
    wanted: Stamp
    #: Why it isn't the same, in a sentence; empty where it is.
    why: str = ""
    #: Whose it is, where it was made without seeder and isn't the same.
    unmanaged: Unmanaged | None = None


def compare(session: Session, manifest: Manifest, oid: int, found: Found, policy: Policy) -> Meaning:
    """Raises QueryFailed where PostgreSQL has to be asked and can't resolve the manifest's query."""
    there = stamp.read(found.comment)
    source = manifest.source(policy.allowed_functions)
    # What the matview reads was looked at before PostgreSQL is asked: what changes in between is seen by the
    # next run.
    unmoved = there is not None and there.shape is not None and there.shape == found.shape
    # Then neither is the query rendered nor the guard asked, nor PostgreSQL.
    if there and unmoved and (there.manifest, there.source) == (manifest.identity, source):
        return Meaning(True, there, there)
    query = manifest.query
    wanted = Stamp(manifest.identity, source, query.fingerprint, None, found.shape)
    if there:
        # What it says of the rows stays true.
        wanted = replace(
            there,
            manifest=wanted.manifest,
            source=source,
            fingerprint=wanted.fingerprint,
            shape=found.shape,
            # An audit's finding is about the SQL that it was found of.
            distrust=there.distrust if there.fingerprint == wanted.fingerprint else None,
        )
    same_text = there is not None and there.fingerprint == query.fingerprint
    if same_text and unmoved:
        return Meaning(True, there, wanted)
    same = same_meaning(session, oid, query, policy, was_made_of_it=same_text)
    if same:
        return Meaning(True, there, wanted)
    if there is None:
        whose = unmanaged(session, manifest.matview, oid)
        return Meaning(False, there, wanted, str(whose), whose)
    why = alteration(session, oid, query, policy) if same_text else SQL_CHANGED
    return Meaning(False, there, wanted, why)


def new_stamp(manifest: Manifest, policy: Policy) -> Stamp:
    """For a matview that is made of the manifest's query now. What it reads is added by its
    creation; after a rebuild the next run looks at it."""
    return Stamp(
        manifest.identity, manifest.source(policy.allowed_functions), manifest.query.fingerprint, None
    )
