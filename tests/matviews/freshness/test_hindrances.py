"""What nothing can be proved of: each rule alone, so that the test fails when the rule is taken out."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.stillness import Reports

from seeder.matviews.freshness.analysis import hindrances
from seeder.matviews.freshness.distrust import Distrust
from seeder.matviews.freshness.reading import look
from seeder.matviews.freshness.sessions import Others
from seeder.matviews.freshness.taking import take
from seeder.matviews.freshness.unchanged import decision
from seeder.matviews.freshness.why import Kind, Why

SETUP = """
create table public.plain (id integer, at timestamptz, day date, note text, doc jsonb, amount numeric);
create unlogged table public.fleeting (id integer);
create sequence public.counter;
create table public.guarded (id integer);
alter table public.guarded enable row level security;
create extension if not exists postgres_fdw schema public;
create server if not exists far foreign data wrapper postgres_fdw options (dbname 'nowhere');
create foreign table public.distant (id integer) server far;
create access method heap2 type table handler heap_tableam_handler;
create table public.stored (id integer) using heap2;
create table public.split (id integer) partition by list (id);
create table public.split_1 partition of public.split for values in (1);
create unlogged table public.split_2 partition of public.split for values in (2);
create function public.told_immutable() returns integer language plpgsql immutable
    as 'begin return (select count(*) from public.plain); end';
create function public.as_text() returns integer language sql immutable as 'select 1';
create function public.in_body() returns timestamptz language sql stable begin atomic select now(); end;
create function public.adding(a integer, b integer) returns integer language plpgsql immutable
    as 'begin return a + b; end';
create aggregate public.summing (integer) (sfunc = public.adding, stype = integer, initcond = '0');
create operator public.|+| (function = public.adding, leftarg = integer, rightarg = integer);
create type public.pair as (one integer, two integer);
create view public.with_now as select id, now() as at from public.plain;
create extension if not exists pg_trgm schema public;
create function public.in_c(text, text) returns integer language c immutable strict
    as '$libdir/fuzzystrmatch', 'levenshtein';
create function public.volatile_body() returns integer volatile begin atomic select 1; end;
create function public.below(a integer, b integer) returns boolean language plpgsql immutable
    as 'begin return a < b; end';
create operator public.|<| (function = public.below, leftarg = integer, rightarg = integer);
create function public.within(integer, integer, integer, boolean, boolean) returns boolean
    language plpgsql immutable as 'begin return true; end';
create operator class public.odd for type integer using btree as operator 1 public.|<|,
    operator 3 pg_catalog.=(integer, integer), function 1 btint4cmp(integer, integer),
    function 3 (integer, integer) public.within(integer, integer, integer, boolean, boolean);
create type public.base;
create function public.base_in(cstring) returns public.base language internal immutable strict as 'int4in';
create function public.base_out(public.base) returns cstring language internal immutable strict as 'int4out';
create type public.base (input = public.base_in, output = public.base_out, like = integer);
create type public.canonical;
create function public.made_canonical(public.canonical) returns public.canonical
    language internal immutable strict as 'int4range_canonical';
create type public.canonical as range (subtype = integer, canonical = public.made_canonical);
create type public.pairs as range (subtype = public.pair);
create domain public.some_pair as public.pair;
create domain public.some_day as date;
create table public.named (id integer, it regclass);
"""
CLEAN = """
drop extension postgres_fdw cascade;
drop table public.stored, public.split;
drop access method heap2;
drop function public.adding(integer, integer) cascade;
drop type public.pair cascade;
drop extension pg_trgm cascade;
drop operator family public.odd using btree cascade;
drop function public.below(integer, integer) cascade;
drop type public.base cascade;
drop type public.canonical cascade;
drop domain public.some_day cascade;
"""

#: Each with the only reason that there is.
NOTHING_PROVED = {
    "select id from distant": Why(Kind.FOREIGN, "distant"),
    "select last_value from counter": Why(Kind.SEQUENCE, "counter"),
    "select id from fleeting": Why(Kind.UNLOGGED, "fleeting"),
    "select id from split": Why(Kind.UNLOGGED, "split"),
    "select id from stored": Why(Kind.ACCESS_METHOD, "stored"),
    "select id from guarded": Why(Kind.ROW_SECURITY, "guarded"),
    "select id from reporting.seeder_run_history": Why(Kind.OWN_RECORD, "reporting.seeder_run_history"),
    "select relname from pg_class": Why(Kind.CATALOGUE, "pg_class"),
    "select now()": Why(Kind.FUNCTION, "now()"),
    "select random()": Why(Kind.FUNCTION, "random()"),
    "select id from plain order by random()": Why(Kind.FUNCTION, "random()"),
    "select at > clock_timestamp() from plain": Why(Kind.FUNCTION, "clock_timestamp()"),
    "select id, at from with_now": Why(Kind.FUNCTION, "now()"),
    "select in_body()": Why(Kind.FUNCTION, "now()"),
    "select current_date": Why(
        Kind.EXPRESSION, "CURRENT_DATE, CURRENT_TIMESTAMP, CURRENT_USER or the like"
    ),
    "select age(at) from plain": Why(
        Kind.EXPRESSION, "CURRENT_DATE, CURRENT_TIMESTAMP, CURRENT_USER or the like"
    ),
    "select current_setting('work_mem')": Why(Kind.FUNCTION, "current_setting()"),
    "select obj_description(1, 'pg_class')": Why(Kind.CATALOGUE, "pg_description"),
    "select id from plain tablesample bernoulli (50)": Why(Kind.EXPRESSION, "TABLESAMPLE"),
    "select xmax::text as x from plain": Why(Kind.SYSTEM_COLUMN),
    "select note::date from plain": Why(Kind.CONVERSION, "date"),
    "select (doc ->> 'at')::timestamptz from plain": Why(Kind.CONVERSION, "timestamp with time zone"),
    "select array[note]::date[] from plain": Why(Kind.CONVERSION, "date"),
    "select to_tsvector(note) from plain": Why(Kind.FUNCTION, "to_tsvector()"),
    "select 'plain'::regclass::text": Why(Kind.TYPE, "regclass"),
    "select row(1, id)::pair from plain": Why(Kind.TYPE, "public.pair"),
    "select told_immutable()": Why(Kind.BODY, "public.told_immutable()"),
    "select as_text()": Why(Kind.BODY, "public.as_text()"),
    "select summing(id) from plain": Why(Kind.BODY, "public.adding()"),
    "select 1 |+| id from plain": Why(Kind.BODY, "public.adding()"),
    "select in_c(note, 'a') from plain": Why(Kind.BODY, "public.in_c()"),
    "select note % 'a' from plain": Why(Kind.BODY, "public.similarity_op()"),
    "select volatile_body()": Why(Kind.FUNCTION, "public.volatile_body()"),
    "select to_tsvector('simple', note) from plain": Why(Kind.FUNCTION, "to_tsvector()"),
    "select id from plain order by id using operator(public.|<|)": Why(Kind.BODY, "public.below()"),
    "select row(id, 1) |<| row(1, id) from plain": Why(Kind.BODY, "public.below()"),
    "select sum(id) over (order by id using operator(public.|<|) range 1 preceding) from plain": Why(
        Kind.BODY, "public.within()"
    ),
    "select null::base::text": Why(Kind.TYPE, "public.base"),
    "select null::canonical::text": Why(Kind.TYPE, "public.canonical"),
    "select null::pair[]": Why(Kind.TYPE, "public.pair"),
    "select null::pairs": Why(Kind.TYPE, "public.pair"),
    "select null::some_pair": Why(Kind.TYPE, "public.pair"),
    "select named from named": Why(Kind.TYPE, "regclass"),
    "select count(*) from json_to_record('{}') as r (x pair)": Why(Kind.TYPE, "public.pair"),
    "select note::some_day from plain": Why(Kind.CONVERSION, "date"),
    "select note::date[] from plain": Why(Kind.CONVERSION, "date"),
    "select doc #>> '{}' as doc, r.* from plain, jsonb_to_record(doc) as r (at date)": Why(
        Kind.FUNCTION, "jsonb_to_record()"
    ),
}  # fmt: skip

PROVED = [
    "select date_trunc('day', at), at::date, to_char(at, 'YYYY'), extract(hour from at) from plain",
    "select sum(amount), avg(id), string_agg(note, ','), count(distinct day) from plain group by day",
    (
        "select to_jsonb(plain), row_to_json(plain), plain::text, json_agg(id) over () from plain"
        " group by plain.*, id"
    ),
    "select note::integer, id::text, amount::bigint, array[id]::text[]::bigint[] from plain",
    (
        "with recursive w (n) as (select 1 union all select n + 1 from w where n < 3)"
        " select n, case n when 1 then 'a' else coalesce(null, 'b') end, greatest(n, 2) from w"
    ),
    (
        "select rank() over (partition by day order by at range between '1 day' preceding and current row)"
        " from plain where id in (select id from plain limit 3) and exists (select 1)"
    ),
    (
        "select id, grouping(id) as a, (values (1)) as b, row(id, note) = row(1, 'a') as c from plain"
        " group by rollup (id), note"
    ),
    "select tableoid::bigint as its from plain where note ~ 'x' and note ilike '%y' and id = any (array[1])",
    'select generate_series(1, 3), lower(note collate "C"), nullif(id, 1) is distinct from 3 from plain',
    "select doc ->> 'a' as a, doc @> '{}' as b, jsonb_array_elements('[]'), at at time zone 'Z' from plain",
    "select 1 union select 2 except select 3",
]


@pytest.fixture
def furnished(reports: Reports) -> Iterator[Reports]:
    reports.bench.sql(SETUP)
    yield reports
    reports.bench.sql(CLEAN)


def why_not(reports: Reports, query: str) -> set[Why]:
    """All reasons that its sources and its query give, the sources' own names aside."""
    manifest = reports.bench.manifest("values (1)", "probed")
    reports.bench.sql(f"create materialized view reporting.probed as {query} with no data")
    try:
        with reports.bench.platform.databases.session() as session:
            oid = session.row("select 'reporting.probed'::regclass::oid as oid").oid
            sight = look(session, oid, ("pg_catalog", manifest.default_schema, "public", "pg_temp"))
            assert sight
            return {*sight.hindrances, *hindrances(session, oid)}
    finally:
        reports.bench.sql("drop materialized view reporting.probed")


def test_each_rule_is_the_only_reason(furnished: Reports) -> None:
    told = {query: why_not(furnished, query) for query in NOTHING_PROVED}

    assert {query: NOTHING_PROVED[query] in its for query, its in told.items()} == dict.fromkeys(
        NOTHING_PROVED, True
    ), told


def test_what_depends_on_rows_and_settings_alone_can_be_proved(furnished: Reports) -> None:
    told = {query: why_not(furnished, query) for query in PROVED}

    assert told == {query: set() for query in PROVED}


def test_names_in_a_query_are_not_taken_for_what_it_calls(reports: Reports) -> None:
    query = "select id as \":funcid 1299 {SQLVALUEFUNCTION\", '{XMLEXPR :funcid 1299' as x from sale"

    assert why_not(reports, query) == set()


def test_such_a_report_is_refreshed_each_time_and_asked_about_once(reports: Reports) -> None:
    reports.report("select now() as at, id from sale")
    stamp = reports.bench.stamp()

    assert stamp
    assert stamp.unprovable
    assert stamp.evidence is None
    assert reports.kinds() == {Kind.NO_EVIDENCE}


def test_whoever_may_not_comment_has_no_evidence(reports: Reports) -> None:
    reports.report()
    reports.bench.sql("create role passing_by; grant usage on schema reporting to passing_by")
    stamp = reports.bench.stamp()
    assert stamp
    assert stamp.evidence
    try:
        with reports.bench.platform.databases.session() as session:
            oid = session.row("select 'reporting.sales'::regclass::oid as oid").oid
            session.run_text("set role passing_by")
            sight = look(session, oid, reports.policy().limits.search_path)
            assert sight
            taken = take(session, sight, stamp, reports.policy())
            session.run_text("reset role")
    finally:
        reports.bench.sql("drop owned by passing_by; drop role passing_by")

    assert taken.evidence is None


@pytest.mark.parametrize(
    ("query", "number"), [("select id from sale", 1), ("select * from sale", 2)], ids=["SQL", "manifest"]
)
def test_the_rows_of_another_sql_or_manifest_prove_nothing(reports: Reports, query: str, number: int) -> None:
    reports.report()
    reports.made["sales"] = reports.bench.manifest(query, "sales", manifest_id=number)

    assert reports.kinds() == {Kind.SQL}


def test_each_reason_to_take_no_evidence_is_enough(reports: Reports) -> None:
    manifest, policy = reports.report(), reports.policy()
    stamp = reports.bench.stamp()
    assert stamp
    with reports.bench.platform.databases.session() as session:
        oid = session.row("select 'reporting.sales'::regclass::oid as oid").oid
        sight = look(session, oid, policy.limits.search_path)
        assert sight
        (source,) = sight.sources
        unlogged = replace(sight, sources=(replace(source, hindrances=(Kind.UNLOGGED,)),))
        distrusted = replace(stamp, distrust=Distrust(0, 1, 1))

        assert take(session, sight, stamp, policy).evidence
        assert not take(session, unlogged, stamp, policy).evidence
        assert not take(session, replace(sight, owned=False), stamp, policy).evidence
        assert not take(session, sight, replace(stamp, shape="other names"), policy).evidence
        assert not take(session, sight, distrusted, policy).evidence
    others_own = decision(manifest, policy, replace(sight, owned=False), Others())
    assert {why.kind for why in others_own.why} == {Kind.NOT_OWNER}
