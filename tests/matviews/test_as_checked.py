"""`seeder check` finds a problem if and only if the run fails: odd queries, each checked and then run.

Left out is what only rows bring out: a negative limit that is computed, a key that isn't unique, values that
can't be compared.
"""

from collections.abc import Iterator

import pytest
from support.contract import Platform
from support.workbench import Bench

from seeder.diagnosis.check import check_manifests
from seeder.errors import ManifestError, SeederError
from seeder.seedings.planning import Selection

#: So many columns, and names longer than PostgreSQL keeps that are cut to the same.
MANY = "select " + ", ".join(f"{n} as c{n}" for n in range(1601))
MOST = "select " + ", ".join(f"{n} as c{n}" for n in range(1600))
TOO_LONG = f"select 1 as {'x' * 63}a, 2 as {'x' * 63}b"

SYSTEM = ("xmin", "xmax", "cmin", "cmax", "ctid", "tableoid")

#: What the directive's column is, beside its key: two rows, so that an index has something to compare.
TYPES = {
    "json": "'{}'::json",
    "jsonb": "jsonb_build_object('id', id)",
    "xml": "'<a/>'::xml",
    "point": "point(id, 1)",
    "box": "box(point(id, 1))",
    "text": "id::text",
    "varchar": "id::varchar(9)",
    "name": "id::text::name",
    "cidr": "'10.0.0.0/8'::cidr",
    "regclass": "'public.sale'::regclass",
    "xid": "id::text::xid",
    "cid": "id::text::cid",
    "tid": "format('(%s,1)', id)::tid",
    "aclitem": "makeaclitem(10, 10, 'SELECT', false)",
    "int2vector": "id::text::int2vector",
    "oidvector": "id::text::oidvector",
    "refcursor": "id::text::refcursor",
    "jsonpath": "'$.a'::jsonpath",
    "tsvector": "to_tsvector('simple', id::text)",
    "pg_lsn": "'0/1'::pg_lsn",
    "interval": "id * interval '1 day'",
    "time": "localtime",
    "timetz": "current_time",
    "date": "current_date - id",
    "timestamp": "localtimestamp",
    "timestamptz": "now()",
    "daterange": "daterange(current_date, current_date + id)",
    "datemultirange": "datemultirange(daterange(current_date, current_date + id))",
    "domain over date": "(current_date - id)::app.day",
    "domain over a domain over date": "(current_date - id)::app.workday",
    "domain over time": "localtime::app.hour",
    "domain over json": "'{}'::app.document",
    "domain over a domain over json": "'{}'::app.paper",
    "domain over an array of json": "array['{}'::json]::app.papers",
    "integer[]": "array[id]",
    "json[]": "array['{}'::json]",
    "date[]": "array[current_date - id]",
    "day[]": "array[(current_date - id)::app.day]",
    "composite": "row(id, 'x')::app.pair",
    "array of composites with json": "array[row(1, '{}')::app.labelled]",
    "a table's row": "sale",
    "enum": "'up'::app.way",
    "enum range": "app.wayrange('up', 'down')",
    "a column that is not there": None,
}

DIRECTIVES = {
    "an index": "index=(x)",
    "fresh": "expect=(fresh(x, 1000 days))",
    "not_null": "expect=(not_null(x))",
}

TYPED = {
    f"{word} on {name}": f"-- seeder: {directive}\nselect id"
    + (f", {value} as x" if value else "")
    + " from public.sale where id < 3"
    for name, value in TYPES.items()
    for word, directive in DIRECTIVES.items()
}

QUERIES = {
    **{f"a column {name}": f"select id as {name} from public.sale" for name in SYSTEM},
    "a column oid": "select id as oid from public.sale",
    "a column XMIN": 'select id as "XMIN" from public.sale',
    "a system column by its own name": "select xmin, id from public.sale",
    "a system column under another name": "select xmin as version, id from public.sale",
    "a column's name twice": "select 1 as a, 2 as a",
    "two columns without names": "select 1, 2",
    "a join's columns": "select * from public.sale a join public.sale b using (id)",
    "names that are cut": TOO_LONG,
    "1,600 columns": MOST,
    "1,601 columns": MANY,
    "no columns": "select from public.sale",
    **{
        f"a limit of {number}": f"select id from public.sale limit {number}"
        for number in (
            "-1",
            "-0.4",
            "-0.5",
            "'-1'",
            "cast('-2' as bigint)",
            "-1::int",
            "- - 1",
            "null",
            "1e3",
        )
    },
    "an offset below zero": "select id from public.sale offset -2 rows",
    "a first of so many rows": "select id from public.sale order by id fetch first (-1) rows with ties",
    "a limit below zero inside": "select (select id from public.sale limit -1) as x",
    "a limit below zero in a WITH": "with s as (select id from public.sale limit -3) select * from s",
    "a sample of 101 per cent": "select id from public.sale tablesample system (101)",
    "a sample below zero": "select id from public.sale tablesample bernoulli (-0.1)",
    "a sample of all": "select id from public.sale tablesample system (100)",
    "a sample that is no number": "select id from public.sale tablesample system ('x')",
    "unknown": "select 'x' as x, null as y",
    "a record": "select row(1, 2) as x",
    "an array of records": "select array[row(1, 2)] as x",
    "cstring": "select 'x'::cstring as x",
    "void": "select null::void as x",
    "anyarray": "select null::anyarray as x",
    "anyarray of a catalogue": "select * from pg_statistic",
    "a catalogue": "select * from pg_class",
    "a composite value": "select row(1, 'x')::app.pair as x",
    "collations that conflict": """select ('a' collate "C") || ('b' collate "POSIX") as x""",
    "ordered by a conflict of collations": """
        select 1 as x order by ('a' collate "C") || ('b' collate "POSIX")
    """,
    "an order that isn't": "select '{}'::json as x order by 1",
    "distinct json": "select distinct '{}'::json as x from public.sale",
    "a group without its column": "select id, count(*) from public.sale",
    "a union of types that don't match": "select 1 as x union select 'x'::text",
    "division by zero": "select 1 / 0 as x",
    "its own name": "select * from reporting.sales",
    "a name that a type has": "select 1 as x -- taken",
    "a key of 32 columns": f"-- seeder: unique=({', '.join(f'c{n}' for n in range(32))})\n{MOST}",
    "a key of 33 columns": f"-- seeder: unique=({', '.join(f'c{n}' for n in range(33))})\n{MOST}",
    "a key on a cut name": f"-- seeder: unique=({'x' * 63})\nselect 1 as {'x' * 64}",
    "a key on a name with a percent sign": '-- seeder: unique=("a%b")\nselect 1 as "a%b"',
    "a key on a system column": "-- seeder: unique=(ctid)\nselect id from public.sale",
    "fresh for ever": "-- seeder: expect=(fresh(x, 2000000 days))\nselect now() as x",
    "fresh beyond the calendar": "-- seeder: expect=(fresh(x, 3000000 days))\nselect now() as x",
    "fresh beyond the calendar, of dates": (
        "-- seeder: expect=(fresh(x, 999999999 days))\nselect current_date as x"
    ),
    "rows beyond bigint": "-- seeder: expect=(rows < 99999999999999999999)\nselect 1 as x",
    "an expectation of no column": "-- seeder: expect=(not_null(x))\nselect from public.sale",
    **TYPED,
}

MAKE = """
create schema app;
create domain reporting.taken as integer;
create domain app.day as date;
create domain app.workday as app.day;
create domain app.hour as time;
create domain app.document as json;
create domain app.paper as app.document;
create domain app.papers as json[];
create type app.pair as (a integer, b text);
create type app.labelled as (a integer, b json);
create type app.way as enum ('up', 'down');
create type app.wayrange as range (subtype = app.way);
"""


@pytest.fixture(scope="module")
def world(any_platform_of_module: Platform) -> Iterator[Bench]:
    bench = Bench(any_platform_of_module)
    bench.sql(MAKE)
    yield bench
    bench.sql("drop schema app cascade; drop domain reporting.taken")
    any_platform_of_module.empty()


@pytest.mark.parametrize("name", QUERIES)
def test_a_problem_is_found_if_and_only_if_the_run_fails(world: Bench, name: str) -> None:
    table_name = "taken" if "taken" in QUERIES[name] else "sales"
    manifest = world.manifest(QUERIES[name], table_name=table_name)
    found = check_manifests(world.platform.databases, [manifest], Selection(), world.policy()).problems
    failed: SeederError | None = None
    try:
        world.refresh(manifest, world.policy().of_manifest(manifest.directives))
    except ManifestError as error:
        failed = error
    finally:
        world.sql("drop materialized view if exists reporting.sales")
    said = [one.problem for one in found]
    assert bool(said) == (failed is not None), f"check: {said}; the run: {failed}"
