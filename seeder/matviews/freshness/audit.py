"""A matview against its query, under one snapshot and both ways: the check of what was called unchanged."""

from dataclasses import dataclass

from seeder.manifests import Manifest
from seeder.matviews.policy import Policy
from seeder.postgres.session import Session

#: Rows as text, since not every type can be compared; each as often as it is there. One statement has one
#: snapshot, whatever its parts read.
COMPARE = """
with kept as (
    select m::text as line, count(*) as times from {matview} as m group by 1
), given as (
    select q::text as line, count(*) as times from (
{query}
    ) as q group by 1
)
select coalesce(sum(greatest(coalesce(given.times, 0) - coalesce(kept.times, 0), 0)), 0)::bigint as missing,
       coalesce(sum(greatest(coalesce(kept.times, 0) - coalesce(given.times, 0), 0)), 0)::bigint as extra
from kept full join given using (line)
"""


@dataclass(frozen=True)
class Difference:
    """Rows that the query gives and the matview lacks, and the other way round."""

    missing: int
    extra: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra)

    def __str__(self) -> str:
        return f"{self.missing} rows missing, {self.extra} that its query does not give"


def difference(session: Session, manifest: Manifest, policy: Policy) -> Difference:
    """Between the matview's rows and those that the manifest's SQL gives now.

    `policy` is the manifest's own. Raises ManifestError and psycopg2.Error.
    """
    text = COMPARE.format(matview=manifest.matview.quoted, query=manifest.query.text)
    with session.transaction():
        session.run_text("set transaction read only;\n" + policy.as_manifest)
        # To psycopg2 a % begins a value.
        row = session.row(text.replace("%", "%%"), nothing=None)
    return Difference(row.missing, row.extra)
