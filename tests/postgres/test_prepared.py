"""Prepared statements: they mean what the plain ones mean, and each connection prepares each of them once."""

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seeder.postgres.databases import Databases
from seeder.postgres.prepared import Prepared
from seeder.postgres.session import LOCK_TIMEOUT, Session

NAMES = ["a", "b_2", "table_name", "a1", "a"]
#: Not the lowest integer: psycopg2 writes -2147483648::integer, and the cast binds tighter than the sign.
VALUES = st.none() | st.integers(1 - 2**31, 2**31 - 1)
TERMS = st.sampled_from([f"%({name})s::integer" for name in NAMES] + ["7", "null::integer", "'%(x) $1'"])


@pytest.fixture
def databases(module_database_url: str) -> Iterator[Databases]:
    """Whose connections have prepared nothing yet."""
    databases = Databases(module_database_url)
    yield databases
    databases.dispose()


@pytest.fixture
def session(databases: Databases) -> Iterator[Session]:
    with databases.session() as session:
        yield session


def there(session: Session) -> list[str]:
    """The names of the statements that this connection has prepared."""
    return [row.name for row in session.rows("select name from pg_prepared_statements order by name")]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    statements=st.lists(st.lists(TERMS, min_size=1, max_size=6), min_size=1, max_size=3),
    values=st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES)),
)
def test_a_prepared_statement_gives_the_rows_of_the_plain_one(
    session: Session, statements: list[list[str]], values: dict[str, Any]
) -> None:
    columns = [[f"{term} as c{number}" for number, term in enumerate(terms)] for terms in statements]
    texts = tuple(f"select {', '.join(every)}" for every in columns)
    used = {name: value for name, value in values.items() if f"%({name})s" in "".join(texts)}
    plain = session.rows(texts[-1].replace("'%(x)", "'%%(x)"), **values)
    assert [tuple(session.row(Prepared("any", texts), **used))] == [tuple(row) for row in plain]


def test_a_value_that_comes_twice_is_sent_once() -> None:
    one = Prepared("x", ("select %(b)s, %(a)s, %(b)s", "select 1"))
    assert one.call.count("%(b)s") == 1
    (first, second) = one.preparations.values()
    assert first.endswith("as select $1, $2, $1")
    assert second.endswith("as select 1")


def test_all_go_in_one_transaction_after_what_comes_first(session: Session) -> None:
    session.run_text("create temporary table seen (lock_timeout text, at timestamptz)")
    seen = "insert into seen values (current_setting('lock_timeout'), now())"
    session.run(Prepared("two", (seen, seen), first="set local lock_timeout to '77ms';\n"))
    assert session.row("select count(*), count(distinct at) as at_once, min(lock_timeout) from seen") == (
        2,
        1,
        "77ms",
    )
    assert session.row("show lock_timeout") == (LOCK_TIMEOUT,)


def test_the_generic_plan_is_for_the_prepared_statement_alone(session: Session) -> None:
    mode = "show plan_cache_mode"
    one = Prepared("mode", ("select current_setting('plan_cache_mode') as mode, %(n)s::integer",))
    for _ in range(2):
        assert session.row(one, n=1).mode == "force_generic_plan"
        assert session.row(mode).plan_cache_mode == "auto"
    plans = session.row("select generic_plans, custom_plans from pg_prepared_statements where name ~ 'mode'")
    assert tuple(plans) == (2, 0)


def test_a_connection_prepares_a_statement_once_and_a_new_connection_again(databases: Databases) -> None:
    one = Prepared("once", ("select %(n)s::integer + 1",))
    with databases.session() as session, databases.session() as other:
        assert [session.row(one, n=number)[0] for number in range(3)] == [1, 2, 3]
        assert there(session) == list(one.preparations)
        assert there(other) == []
        assert other.row(one, n=4) == (5,)
    with databases.session() as again:
        assert again.row(one, n=5) == (6,)


def test_two_of_one_name_do_not_get_in_each_others_way(session: Session) -> None:
    """A run's start is read beside one query by the worker and beside another by whoever asks only for it."""
    one, other = Prepared("start", ("select 1", "select 2")), Prepared("start", ("select 1", "select 3"))
    assert [session.row(which)[0] for which in (one, other, one)] == [2, 3, 2]
    assert len(there(session)) == 3


def test_what_could_not_be_prepared_is_prepared_once_it_can(session: Session) -> None:
    """The schema was incomplete; somebody applied it, and the worker's connection lives on."""
    one = Prepared("late", ("select 1", "select count(*) from pg_temp.later"))
    for _ in range(2):
        with pytest.raises(psycopg2.errors.UndefinedTable):
            session.row(one)
    session.run_text("create temporary table later ()")
    assert session.row(one) == (0,)
