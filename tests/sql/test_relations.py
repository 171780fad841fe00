"""What a query names: tables, views and functions wherever they stand, and not what a WITH calls so."""

import pytest

from seeder.sql.relations import NOTHING, names_in


@pytest.mark.parametrize(
    ("text", "relations"),
    [
        ("select 1", set()),
        ("select * from a join b.c on true, only d", {(None, "a"), ("b", "c"), (None, "d")}),
        ('select * from "A b".c, "D"', {("A b", "c"), (None, "D")}),
        ("table a", {(None, "a")}),
        ("select 1 from a union (select 2 from b except select 3 from c)", {(None, n) for n in "abc"}),
        ("select (select max(x) from a) from b where y in (table c)", {(None, n) for n in "abc"}),
        ("select * from a, lateral (select * from b where b.x = a.x) q", {(None, n) for n in "ab"}),
        ("values ((select count(*) from a))", {(None, "a")}),
        ("select * from a tablesample system (1)", {(None, "a")}),
        ("select 'from a', $$ from b $$ -- from c\n from d", {(None, "d")}),
        ("select * from somewhere.a.b", {("a", "b")}),
    ],
)  # fmt: skip
def test_relations_are_found_wherever_they_stand(text: str, relations: set[object]) -> None:
    assert names_in(text).relations == relations


@pytest.mark.parametrize(
    ("text", "relations"),
    [
        ("with a as (select 1) select * from a", set()),
        ("with a as (select * from a) select * from a", {(None, "a")}),
        ("with recursive a as (select 1 union select * from a) select * from a", set()),
        ("with a as (select 1) select * from a, s.a", {("s", "a")}),
        ("with a as (select 1), b as (select * from a) select * from b, c", {(None, "c")}),
        ("with b as (select * from a), a as (select 1) select * from a, b", {(None, "a")}),
        ("with recursive b as (select * from a), a as (select 1) select * from b", set()),
        ("select * from (with a as (select 1) select * from a) q, a", {(None, "a")}),
        (
            "with a as (select 1) select (with b as (select * from a) select x from b), * from b",
            {(None, "b")},
        ),
        ("with a as (select 1) select 1 from a union select 2 from a", set()),
        ("(with a as (select 1) select 1 from a) union select 2 from a", {(None, "a")}),
    ],
)
def test_a_name_of_a_with_hides_the_table_only_where_it_does(text: str, relations: set[object]) -> None:
    assert names_in(text).relations == relations


def test_functions_are_found_with_their_schema_where_it_is_written() -> None:
    found = names_in("select s.f(1), g(h(2)) over () from k(3), rows from (l(4)) where exists (select m())")
    assert found.functions == {("s", "f"), *((None, name) for name in "ghklm")}


@pytest.mark.parametrize(
    "text", ["", "select form a", "select :agency_id from a", "select 'a", "select 1\x00"]
)
def test_what_is_no_sql_names_nothing(text: str) -> None:
    assert names_in(text) == NOTHING


def test_a_query_as_deep_as_the_guard_takes_is_read() -> None:
    text = "select 1 from a0" + "".join(f" union select 1 from a{n}" for n in range(1, 300))
    assert len(names_in(text).relations) == 300
