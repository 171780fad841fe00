"""The state of a matview as the catalogue and the statistics views show it: size, indexes, number of reads.

Its row in pg_class can be read at any time. Sizes and definitions take its lock (pg_total_relation_size,
pg_get_indexdef: ACCESS SHARE), for which one waits while a plain refresh replaces its rows; so they are
questions of their own, and each is asked with a short limit. SET LOCAL holds for the one question, since the
connection's next user has other limits.
"""

from dataclasses import dataclass
from datetime import datetime

from seeder.matviews import stamp
from seeder.matviews.found import USABLE
from seeder.matviews.indexes import MARK
from seeder.matviews.stamp import Stamp
from seeder.postgres.relation_kinds import kind_of_relation
from seeder.postgres.session import Session
from seeder.sql.names import MatviewName

#: Nobody waits longer for an answer than this, and nobody's refresh is kept from its lock by a question.
BRIEFLY = """
set local statement_timeout to '1s';
set local lock_timeout to '250ms';
set local search_path to pg_catalog, pg_temp;
"""

#: relpages is what the last refresh, VACUUM or ANALYZE left (https://www.postgresql.org/docs/current/
#: catalog-pg-class.html), and so is a size that needs no lock.
FACTS = """
select c.oid, c.relkind::text as kind, c.relispopulated as is_populated,
       pg_get_userbyid(c.relowner)::text as owner,
       obj_description(c.oid, 'pg_class') as comment,
       current_setting('block_size')::bigint * (
           c.relpages::bigint + coalesce(toast.relpages, 0)
           + coalesce((
               select sum(its.relpages) from pg_index i join pg_class its on its.oid = i.indexrelid
               where i.indrelid = c.oid
           ), 0)
       ) as about_bytes
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_class toast on toast.oid = c.reltoastrelid
where n.nspname = %(schema)s and c.relname = %(name)s
"""

SIZES = """
select pg_table_size(cast(%(oid)s as oid)) as table_bytes,
       pg_indexes_size(cast(%(oid)s as oid)) as index_bytes
"""

INDEXES = f"""
select c.relname as name, pg_get_indexdef(i.indexrelid) as definition,
       pg_relation_size(cast(i.indexrelid as regclass)) as total_bytes,
       i.indisunique as is_unique, i.indisvalid as is_valid, {USABLE} and i.indisunique as lets_concurrently,
       coalesce(starts_with(obj_description(i.indexrelid, 'pg_class'), %(mark)s), false) as is_asked_for,
       coalesce(s.idx_scan, 0) as scans
from pg_index i
join pg_class c on c.oid = i.indexrelid
left join pg_stat_all_indexes s on s.indexrelid = i.indexrelid
where i.indrelid = cast(%(oid)s as oid)
order by c.relname
"""

#: The moment of the last scan is known from 16 on, so it is asked for by a name that may be absent.
READS = """
select s.seq_scan as sequential, s.idx_scan as by_index,
       greatest((to_jsonb(s) ->> 'last_seq_scan')::timestamptz,
                (to_jsonb(s) ->> 'last_idx_scan')::timestamptz) as last,
       (select d.stats_reset from pg_stat_database d where d.datname = current_database()) as since
from pg_stat_all_tables s
where s.relid = cast(%(oid)s as oid)
"""


@dataclass(frozen=True)
class Facts:
    """The relation that has a matview's name, as its catalogue row shows it."""

    oid: int
    #: pg_class.relkind; "m" is a matview.
    kind: str
    is_populated: bool
    owner: str
    comment: str | None
    #: Size with indexes and TOAST when its pages were last counted.
    about_bytes: int

    @property
    def kind_in_words(self) -> str:
        return kind_of_relation(self.kind)

    @property
    def stamp(self) -> Stamp | None:
        return stamp.read(self.comment)


@dataclass(frozen=True)
class Sizes:
    """In bytes; the table with TOAST and maps."""

    table_bytes: int
    index_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.table_bytes + self.index_bytes


@dataclass(frozen=True)
class IndexFacts:
    name: str
    definition: str
    total_bytes: int
    is_unique: bool
    is_valid: bool
    #: REFRESH … CONCURRENTLY can use it.
    lets_concurrently: bool
    #: The manifest asked for it, and seeder made it.
    is_asked_for: bool
    scans: int


@dataclass(frozen=True)
class Reads:
    """How often the matview was read, by any session, as PostgreSQL counts.

    A refresh is among the readers. Seen on 15 and 18: making an index is one sequential scan, so a plain
    refresh adds one for each index; a concurrent one adds one or two; where seeder has to count the rows,
    that is one more (by index or not). They start anew where a swap or a rebuild puts another relation in
    place.
    """

    sequential: int
    by_index: int
    #: When it was last scanned at all; None before PostgreSQL 16.
    last: datetime | None
    #: When somebody last set the database's counters to 0; None is never.
    since: datetime | None


def facts(session: Session, matview: MatviewName) -> Facts | None:
    """The relation of that name, whatever its kind. Never waits for a lock."""
    row = session.row(BRIEFLY + FACTS, schema=matview.schema, name=matview.name)
    return row and Facts(row.oid, row.kind, row.is_populated, row.owner, row.comment, int(row.about_bytes))


def sizes(session: Session, oid: int) -> Sizes:
    """Raises psycopg2.errors.LockNotAvailable while its rows are being replaced."""
    row = session.row(BRIEFLY + SIZES, oid=oid)
    return Sizes(row.table_bytes, row.index_bytes)


def index_facts(session: Session, oid: int) -> list[IndexFacts]:
    """Raises psycopg2.errors.LockNotAvailable while its rows are being replaced."""
    return session.rows_of(IndexFacts, BRIEFLY + INDEXES, oid=oid, mark=MARK)


def read_counts(session: Session, oid: int) -> Reads | None:
    return session.row_of(Reads, BRIEFLY + READS, oid=oid)
