"""Names without a schema in PL/pgSQL, which a refresh's search_path may hide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeder.sql.bodies import Unqualified, unqualified


def function(body: str) -> str:
    return f"create function f(a int) returns int language plpgsql as $body$ {body} $body$"


BODIES = {
    "a query": ("begin return (select count(*) from sale); end", ("sale",), ("count",), False),
    "with its schema": ("begin return (select public.g(id) from public.sale); end", (), (), False),
    "a WITH query's own name": ("begin return (with s as (select 1) select 2 from s); end", (), (), False),
    "INTO": ("declare x int; begin select id into x from sale; return x; end", ("sale",), (), False),
    "a loop": (
        "declare r record; begin for r in select * from sale loop null; end loop; return 1; end",
        ("sale",), (), False,
    ),
    "a condition": ("begin if g(a) > 1 then return 2; end if; return 1; end", (), ("g",), False),
    "an assignment": ("declare x int; begin x := g(1); x = h(x); return x; end", (), ("g", "h"), False),
    "an assignment to a part": ("declare x int[]; begin x[1] := g(1); return x[1]; end", (), ("g",), False),
    "a default": ("declare x int := g(1); begin return x; end", (), ("g",), False),
    "PERFORM": ("begin perform g(1); return 1; end", (), ("g",), False),
    "EXECUTE": ("declare x int; begin execute 'select 1' into x; return x; end", (), (), True),
    "a loop over EXECUTE": (
        "declare r record; begin for r in execute 'select 1' loop null; end loop; end", (), (), True,
    ),
    "a sub-block": ("begin begin return (select 1 from inner_one); end; end", ("inner_one",), (), False),
}  # fmt: skip


@pytest.mark.parametrize(("body", "relations", "functions", "dynamic"), BODIES.values(), ids=BODIES)
def test_a_name_is_found_wherever_it_stands(body: str, relations, functions, dynamic: bool) -> None:
    assert unqualified(function(body)) == Unqualified(relations, functions, dynamic)


@pytest.mark.parametrize(
    "definition",
    [
        "create function",
        function("begin retrn 1; end"),
        function("begin select from where; end"),
        function("begin return (; end"),
    ],
)
def test_what_can_not_be_read_is_unknown(definition: str) -> None:
    assert unqualified(definition) is None


@given(st.lists(st.sampled_from(["sale", "public.plane", "Trip", "other"]), min_size=1, max_size=5))
def test_every_unqualified_table_is_found_once(tables: list[str]) -> None:
    body = " ".join(f"perform 1 from {table};" for table in tables)
    wanted = sorted({table.lower() for table in tables if "." not in table})
    assert unqualified(function(f"begin {body} return 1; end")) == Unqualified(tuple(wanted), (), False)


@given(st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    unqualified(function(f"begin {text} end"))
