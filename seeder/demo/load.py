"""Loads the demo's data into the schema ``flights`` and ``public.agency``, in one transaction."""

import lzma
from importlib.resources import files

from psycopg2 import extensions
from psycopg2.sql import SQL, Composable, Identifier

from seeder.errors import DemoRefused

_PACKAGE = files("seeder.demo")

#: How many rows each table has when it is whole, from the source.
ROWS = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115, "flights": 336_776}

#: What the comments in tables.sql begin with. Only what carries it is the demo's to write to.
MARK = "seeder's demo:"

FOREIGN = """
select place
from (
    values ('the schema flights', to_regnamespace('flights')::oid, 'pg_namespace'),
           ('the table public.agency', to_regclass('public.agency')::oid, 'pg_class')
) as t (place, oid, catalog)
where oid is not null and not starts_with(coalesce(obj_description(oid, catalog), ''), %s)
"""

PACKED_FLIGHTS = """
create temporary table packed_flights (
    sched_dep_time integer, sched_arr_time integer, distance integer, carrier text, flight integer,
    origin text, dest text, month integer, day integer, dep_delay integer, arr_delay integer,
    air_time integer, arr_time integer, tailnum text
) on commit drop
"""

INDEXES = """
create index if not exists flights_tailnum on flights.flights (tailnum, time_hour);
create index if not exists flights_origin_time_hour on flights.flights (origin, time_hour);
create index if not exists flights_dest on flights.flights (dest, carrier);
"""

AGENCIES = """
insert into public.agency (id, name, slug)
select row_number() over (order by carrier collate "C"), name, lower(carrier)
from flights.airlines
on conflict do nothing
"""


def load(connection: extensions.connection) -> bool:
    """Create and fill what isn't there yet; commits. Returns whether any rows had to be copied.

    Tables that don't have exactly the source's number of rows are emptied and filled again, all five, so what
    depends on them stays. Raises DemoRefused where the schema flights or the table public.agency is somebody
    else's.
    """
    with connection, connection.cursor() as cursor:
        # `create … if not exists` isn't safe against another session that does the same at the same time.
        cursor.execute("select pg_advisory_xact_lock(hashtextextended('seeder.demo', 0))")
        _refuse_what_is_not_ours(cursor)
        cursor.execute(_text("tables.sql"))
        missing = any(_count(cursor, table) != rows for table, rows in ROWS.items())
        if missing:
            _fill(cursor)
        cursor.execute(INDEXES)
        cursor.execute(AGENCIES)
        if missing:
            for table in ROWS:
                cursor.execute(SQL("analyze flights.{}").format(Identifier(table)))
            cursor.execute("analyze public.agency")
    return missing


def _refuse_what_is_not_ours(cursor: extensions.cursor) -> None:
    cursor.execute(FOREIGN, (MARK,))
    if found := cursor.fetchone():
        raise DemoRefused(place=found[0])


def _fill(cursor: extensions.cursor) -> None:
    cursor.execute(
        "truncate flights.airlines, flights.airports, flights.planes, flights.weather, flights.flights"
    )
    for table in ("airlines", "airports", "planes", "weather"):
        _copy(cursor, table, SQL("flights.{}").format(Identifier(table)))
    cursor.execute(PACKED_FLIGHTS)
    _copy(cursor, "flights", Identifier("packed_flights"))
    cursor.execute(_text("unpack_flights.sql"))


def _copy(cursor: extensions.cursor, file: str, target: Composable) -> None:
    statement = SQL("copy {} from stdin (format csv, header, null 'NA', encoding 'utf8')").format(target)
    packed = _PACKAGE.joinpath("data", f"{file}.csv.xz")
    with packed.open("rb") as compressed, lzma.open(compressed) as rows:
        cursor.copy_expert(statement, rows)


def _count(cursor: extensions.cursor, table: str) -> int:
    cursor.execute(SQL("select count(*) from flights.{}").format(Identifier(table)))
    (rows,) = cursor.fetchall()[0]
    return int(rows)


def _text(name: str) -> str:
    return _PACKAGE.joinpath(name).read_text(encoding="utf-8")
