"""The guard: what it accepts only reads, and what it refuses it explains."""

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from support.emptied import fresh_database

from seeder.errors import QueryRefused
from seeder.sql.guard import SafeQuery, check
from seeder.sql.placeholders import render_query

TABLES = """
create table sale (id int primary key, agency text, amount numeric, at timestamptz, tags int[]);
insert into sale
select i, 'a' || i % 3, i, now() - i * interval '1 day', array[i, i] from generate_series(1, 9) as i;
"""

#: Between them, every kind of node the guard knows.
ACCEPTED = [
    "select 1",
    "SELECT 1;",
    ";;".join(["values (1, 'a'), (2, null)", ""]),
    "table sale",
    "(select 1)",
    "-- a comment\nselect /* another */ 1 -- and a last",
    "with a as (select 1 as x), b as materialized (table a) select * from a natural join b",
    "with recursive n (i) as (values (1) union all select i + 1 from n where i < 5) select sum(i) from n",
    """with recursive n (i) as (select 1 union all select i + 1 from n where i < 3)
       search depth first by i set o cycle i set c using p select i, c from n""",
    "select count(*) filter (where id > 3) from sale group by rollup (id), grouping sets ((), agency)",
    "select grouping(agency), mode() within group (order by amount) from sale group by cube (agency)",
    """select rank() over w, lag(amount, 1) over (partition by agency order by id rows between 1 preceding and
       current row exclude ties) from sale window w as (order by amount desc nulls last)""",
    "select distinct on (agency) * from sale order by agency using operator(pg_catalog.<) limit 2 offset 1",
    "select id from sale order by id fetch first 2 rows with ties",
    "select 1 union (select 2 except select 3) intersect all select 4",
    "select case when id = 1 then 'a' else 'b' end, coalesce(1, 2), nullif(1, 2), greatest(1, 2) from sale",
    "select cast('1' as int)::numeric(8, 2), interval '1' day, 'a' collate \"C\", (array[1, 2])[1:], 1 as x",
    "select id is null, (id = 1) is not true, not (id = 1 or id > 2 and id < 9), row(1) = row(2) from sale",
    "select id in (1, 2), id = any (tags), id between 1 and 2, exists (select 1), array(select 1) from sale",
    "select current_date, current_user, extract(year from at), at at time zone 'UTC' from sale",
    "select substring('abc' from 1 for 2), trim(both 'a' from 'aba'), 'a' like 'b' escape 'c'",
    "select x'1f', b'01', 1.5e3, true, U&'\\0061', E'\\n', $q$ ; $q$",
    "select make_interval(days => 3), format('%s', variadic array['a'])",
    "select s.*, g.n from sale s cross join lateral generate_series(1, s.id) with ordinality as g (n, o)",
    "select * from rows from (generate_series(1, 2), generate_series(1, 3)) as t (a, b)",
    "select * from json_to_record('{\"a\": 1}') as t (a int)",
    "select * from only sale tablesample system (50) repeatable (1) full join sale b using (id) as u",
    "select xmlelement(name a, xmlattributes(1 as b), xmlserialize(content xmlparse(content 'x') as text))",
    "select * from xmltable('/a' passing '<a>1</a>' columns n int path '.', o for ordinality)",
    "select json_object('a': 1, 'b' value 2 returning jsonb), json_array(1, 2), json_array(select 1)",
    "select json_objectagg(agency: id), json_arrayagg(id order by id) from sale",
    "select '{}' is json object, json('{}'), json_scalar(1), json_serialize('{}')",
    "select json_value('{}', '$.a' returning int default 0 on empty), json_query('[1]', '$' passing 1 as x)",
    """select * from json_table('[1]', '$[*]' columns (o for ordinality, v int path '$',
       nested path '$' columns (w int path '$')))""",
    "select random(), now(), gen_random_uuid(), pg_backend_pid()",
    "select pg_total_relation_size('sale'), current_setting('timezone'), 'pg_sleep' as pg_sleep from sale",
    'select "pg_sleep" from (select 1 as pg_sleep) as "nextval" (pg_sleep) where $$pg_sleep(1)$$ <> \'\'',
    "select for_update from (select 1 as for_update) into_ (for_update)",
    "select 100 % 3, '%s', '{x}'",
]

PARENTHESES = "inside [ ] and JSON_OBJECT( ) put a placeholder in parentheses, (:agency_id)"

#: Text, reason, line and column.
REFUSED = [
    ("", "it is empty", 1, 1),
    ("  \n\t", "it is empty", 1, 1),
    ("-- nothing\n/* here */ ;;", "it is empty", 1, 1),
    ("select 1; select 2", "it goes on after a semicolon; one manifest is one statement", 1, 11),
    ("select 'é;' ;\n drop table sale;", "it goes on after a semicolon; one manifest is one statement", 2, 2),
    ("; select 1", "it goes on after a semicolon; one manifest is one statement", 1, 3),
    ("delete from sale", "it is not a SELECT but DELETE", 1, 1),
    ("/* é */ insert into sale table sale", "it is not a SELECT but INSERT", 1, 9),
    ("update sale set id = 1 returning *", "it is not a SELECT but UPDATE", 1, 1),
    ("merge into sale using sale s on true when matched then delete", "it is not a SELECT but MERGE", 1, 1),
    ("with a as (select 1) delete from sale", "it is not a SELECT but DELETE", 1, 1),
    ("create table x as select 1", "it is not a SELECT but CREATE TABLE AS", 1, 1),
    ("explain analyze select 1", "it is not a SELECT but EXPLAIN", 1, 1),
    ("copy sale to program 'true'", "it is not a SELECT but COPY", 1, 1),
    ("do $$ begin end $$", "it is not a SELECT but DO", 1, 1),
    ("call f()", "it is not a SELECT but CALL", 1, 1),
    ("set role x", "it is not a SELECT but VARIABLE SET", 1, 1),
    ("with a as (delete from sale returning *) table a", "DELETE inside WITH changes data", 1, 24),
    (
        "with a as (select 1), b as (insert into sale values (1)) select 1",
        "INSERT inside WITH changes data",
        1,
        41,
    ),
    (
        "select (with a as (update sale set id = 1 returning 1) table a)",
        "UPDATE inside WITH changes data",
        1,
        27,
    ),
    (
        "with a as (merge into sale using sale s on true when matched then delete returning 1) table a",
        "MERGE inside WITH changes data",
        1,
        23,
    ),
    ("select 1 into x", "SELECT INTO would make a table", 1, 15),
    ("select 1 union select 2 into temp x", "SELECT INTO would make a table", 1, 35),
    ("select 1 into temp x union select 2", "SELECT INTO would make a table", 1, 20),
    ("select * from sale\nfor update", "FOR UPDATE and FOR SHARE lock rows", 2, 1),
    (
        "select * from (select * from sale for no key update skip locked) x",
        "FOR UPDATE and FOR SHARE lock rows",
        1,
        35,
    ),
    ("with a as (select * from sale for key share) table a", "FOR UPDATE and FOR SHARE lock rows", 1, 31),
    ("select $1", "nothing fills $1; the placeholders are named, as in :agency_id", 1, 8),
    ("select 1\x00", "it holds a NUL character", 1, 9),
    ("select 'a", "unterminated quoted string", 1, 8),
    ("select 1 from from", 'syntax error at or near "from"', 1, 15),
    ("select 'é', 1 +", "syntax error at end of input", 1, 16),
    ("select " + "x" * 99 + " " + "y" * 99 + " z", 'syntax error at or near "z"', 1, 208),
    ("select 1 as " + "'" + "x" * 99 + "'", "syntax error at or near \"'" + "x" * 74 + '…"', 1, 13),
    (
        "select a[1::int:b:c]",
        f'syntax error at or near ":"; {PARENTHESES}',
        1,
        18,
    ),
    ("select E'\\xff'", 'invalid byte sequence for encoding "UTF8": 0xff', 1, 15),
    ("select merge_action()", "it holds MERGE SUPPORT FUNC, which no report is known to need", 1, 8),
    ("select pg_sleep(1)", "the function pg_sleep is not allowed", 1, 8),
    ("select 'é', pg_catalog.pg_sleep(1)", "the function pg_catalog.pg_sleep is not allowed", 1, 13),
    (
        'select "pg_catalog"."pg_read_file"(\'x\')',
        "the function pg_catalog.pg_read_file is not allowed",
        1,
        8,
    ),
    ("select PG_SLEEP(1)", "the function pg_sleep is not allowed", 1, 8),
    ('select U&"pg\\005fsleep"(1)', "the function pg_sleep is not allowed", 1, 8),
    ("select (select 1 where exists (select nextval('s')))", "the function nextval is not allowed", 1, 39),
    ("select * from pg_ls_dir('.') as f", "the function pg_ls_dir is not allowed", 1, 15),
    (
        "select * from rows from (generate_series(1, 2), dblink('', '') as (a int)) x",
        "the function dblink is not allowed",
        1,
        49,
    ),
    ("select * from sale, lateral (select lo_get(id)) x", "the function lo_get is not allowed", 1, 37),
    ("select 1 limit pg_advisory_lock(1)", "the function pg_advisory_lock is not allowed", 1, 16),
    ("select 1 offset (pg_notify('a', 'b') is null)::int", "the function pg_notify is not allowed", 1, 18),
    (
        "select sum(1) over (order by set_config('a', 'b', true))",
        "the function set_config is not allowed",
        1,
        30,
    ),
    ("select sum(1) filter (where pg_reload_conf())", "the function pg_reload_conf is not allowed", 1, 29),
    (
        "select 1 group by txid_current() having pg_switch_wal() is null",
        "the function txid_current is not allowed",
        1,
        19,
    ),
    ("select case when true then lo_import('x') end", "the function lo_import is not allowed", 1, 28),
    ("values (1), (setval('s', 1))", "the function setval is not allowed", 1, 14),
    (
        "select json_object('a': query_to_xml('select 1', true, true, ''))",
        "the function query_to_xml is not allowed",
        1,
        25,
    ),
    (
        "select * from json_table(pg_read_file('x')::json, '$' columns (a int path '$'))",
        "the function pg_read_file is not allowed",
        1,
        26,
    ),
    (
        "select * from xmltable('/a' passing database_to_xml(true, true, '') columns a int)",
        "the function database_to_xml is not allowed",
        1,
        37,
    ),
    ("select 1 + - pg_cancel_backend(1)::int", "the function pg_cancel_backend is not allowed", 1, 14),
    (
        "select a[pg_terminate_backend(1)::int:2] from sale",
        "the function pg_terminate_backend is not allowed",
        1,
        10,
    ),
    ("select 1 order by ts_stat('select 1')", "the function ts_stat is not allowed", 1, 19),
    ("select app.dblink_exec('')", "the function app.dblink_exec is not allowed", 1, 8),
    ("select (pg_stat_file('x')).size", "the function pg_stat_file is not allowed", 1, 9),
]


def judge(text: str) -> SafeQuery:
    return check(render_query(text, {}))


@pytest.fixture(scope="module", params=["postgres_url", "postgres15_url"], ids=["pg18", "pg15"])
def cursor(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each statement is a transaction of its own."""
    with fresh_database(request.getfixturevalue(request.param)) as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        connection = engine.raw_connection()
        cursor = connection.cursor()
        cursor.execute(TABLES)
        yield cursor
        connection.close()
        engine.dispose()


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_query_that_only_reads_is_accepted_and_runs_wherever_a_query_can_stand(
    cursor: Any, text: str
) -> None:
    query = judge(text)
    if "json" in text.lower() and cursor.connection.info.server_version < 170000:
        return  # SQL/JSON came with 16 and 17; the grammar that judges is 18's
    cursor.execute("begin read only")
    try:
        cursor.execute(query.text)
        if "xml" not in text:
            cursor.execute(f"select count(*) from ({query.text}) as q")
        cursor.execute("rollback; begin")
        cursor.execute(f"create temporary view q as {query.text}")
    except psycopg2.errors.FeatureNotSupported:
        assert "xml" in text  # a server built without it
    except psycopg2.errors.DuplicateColumn:
        pass  # fine for a query, not for a view
    finally:
        cursor.execute("rollback")


@pytest.mark.parametrize(("text", "reason", "line", "column"), REFUSED)
def test_what_is_refused_is_refused_with_its_reason_and_place(
    text: str, reason: str, line: int, column: int
) -> None:
    with pytest.raises(QueryRefused) as refused:
        judge(text)
    assert refused.value.facts == {"reason": reason, "position": (line, column)}
    assert "\n" not in str(refused.value)


def test_the_place_is_that_in_the_manifests_own_text() -> None:
    query = render_query(
        "select :agency_slug,\n :agency_slug, pg_sleep(1)", {"agency_slug": "a long é value"}
    )
    with pytest.raises(QueryRefused) as refused:
        check(query)
    assert refused.value.position == (2, 16)


def test_the_first_thing_that_is_wrong_is_the_one_reported() -> None:
    with pytest.raises(QueryRefused, match="nextval"):
        judge("select nextval('s'), (select pg_sleep(1) for update) into x")


WRITES = [
    "(with w as (delete from sale returning id) select count(*) from w)",
    "(with w as (insert into sale (id) values (99) returning id) select id from w)",
    "nextval('s')",
    "pg_catalog.pg_notify('a', 'b')::text::int",
    "lo_create(0)::int",
    "(select id from sale limit 1 for update)",
]


@st.composite
def expressions(draw: Any, depth: int = 0) -> str:
    leaf = [
        "1",
        "2.5",
        "id",
        "amount",
        "(tags)[1]",
        "tags[1:2][1]",
        "length(agency)",
        "random()::int",
        "null::int",
    ]
    if depth > 2 or draw(st.integers(0, 2)) == 0:
        return str(draw(st.sampled_from(leaf * 3 + WRITES)))
    a, b = draw(expressions(depth + 1)), draw(expressions(depth + 1))
    return str(
        draw(
            st.sampled_from(
                [
                    f"({a} + {b})",
                    f"greatest({a}, {b})",
                    f"case when {a} > {b} then {a} else {b} end",
                    f"coalesce({a}, {b})",
                    f"(select max(x) from (values ({a}), ({b})) as v (x))",
                    f"({a} operator(pg_catalog.-) {b})",
                    f"cast({a} as numeric)",
                    f"(array[{a}, {b}])[1]",
                ]
            )
        )
    )


@st.composite
def statements(draw: Any) -> str:
    select = f"select {draw(expressions())} as a, {draw(expressions())} as b from sale"
    if draw(st.booleans()):
        select += f" where {draw(expressions())} > 0 order by {draw(expressions())} limit 3"
    form = draw(
        st.sampled_from(
            [
                "{}",
                "({})",
                "with q as ({}) table q",
                "with recursive q as ({}) select a from q union all select b from q",
                "{} for share",
                "select * into made from ({}) q",
                "create table made as {}",
                "explain {}",
                "values (exists ({}))",
                "{}; {}",
                "select * from ({}) q, lateral (select a) r",
                "insert into sale (id) select 9 from ({}) q",
            ]
        )
    )
    return str(form).replace("{}", select)


@given(text=statements())
def test_what_is_accepted_postgresql_runs_as_read_only(cursor: Any, text: str) -> None:
    try:
        query = judge(text)
    except QueryRefused:
        return
    assert not any(writes in text for writes in WRITES)
    cursor.execute("begin read only")
    try:
        cursor.execute(query.text)
    except (psycopg2.errors.ReadOnlySqlTransaction, psycopg2.errors.ActiveSqlTransaction) as error:
        pytest.fail(f"accepted, but PostgreSQL says: {error}")
    except (psycopg2.DataError, psycopg2.ProgrammingError):
        pass  # not a sound query, but not one that writes
    finally:
        cursor.execute("rollback")
