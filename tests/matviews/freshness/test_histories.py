"""Whatever is done to its sources, a report that is told as unchanged, or refreshed, equals its query.

Random histories over one schema in which everything that evidence is made of occurs. A seed names a history:
SEEDER_TEST_HISTORIES=500 tries so many on each server, `make soak` does.
"""

import os
import random

import psycopg2
import pytest
from support.company import connection
from support.stillness import Reports

from seeder.matviews.freshness.audit import difference

pytestmark = pytest.mark.slow

#: On each of two servers.
HISTORIES = int(os.environ.get("SEEDER_TEST_HISTORIES", "15"))

SCHEMA = """
drop schema if exists shop cascade;
create schema shop;
create type shop.state as enum ('new', 'paid');
create table shop.orders (id integer, amount integer, state shop.state, note text);
create table shop.spare (id integer, amount integer, state shop.state, note text);
insert into shop.orders select n, n, 'new', 'a' from generate_series(1, 20) as n;
insert into shop.spare select n, -n, 'paid', 'b' from generate_series(1, 5) as n;
create table shop.archive () inherits (shop.orders);
create table shop.event (id integer, kind integer) partition by list (kind);
create table shop.event_1 partition of shop.event for values in (1);
create table shop.event_2 (id integer, kind integer);
insert into shop.event select n, 1 from generate_series(1, 9) as n;
insert into shop.event_2 values (100, 2);
create view shop.inner_view as select id, amount, state::text as state from shop.orders where amount > 3;
create view shop.outer_view as select state, count(*) as number, sum(amount) as total
    from shop.inner_view group by state;
create function shop.events() returns bigint stable begin atomic select count(*) from shop.event; end;
create procedure shop.creep() language plpgsql as $$ begin
    insert into shop.orders values (50, 50, 'new', 'c'); commit;
    insert into shop.orders values (51, 51, 'new', 'c'); end $$;
"""

REPORTS = {
    "plain": "select id, amount from shop.orders",
    "keyed": "-- seeder: unique=(id)\nselect distinct on (id) id, amount > 10 as large from shop.orders"
    " order by id, amount, note",
    "views": "select state, number, total, shop.events() as events from shop.outer_view",
    "whole": "select o::text as line from shop.orders as o",
    "clock": "select count(*) as number, now() > '2000-01-01' as after from shop.orders",
    "above": "select count(*) as number, sum(amount) as total from reporting.plain",
    "top": "select a.number, k.large from reporting.above as a, reporting.keyed as k where k.id < 3",
    "swapped": "-- seeder: mode=swap\nselect kind, count(*) as number from shop.event group by kind",
}

STEPS = [
    "insert into shop.orders values (30, 7, 'new', 'x')",
    "update shop.orders set amount = amount + 1 where id = 3",
    "update shop.orders set note = 'y' where id = 4",
    "delete from shop.orders where id = (select min(id) from shop.orders)",
    "insert into shop.archive values (60, 60, 'paid', 'z')",
    "insert into shop.event values (7, 1)",
    "delete from shop.event_1 where id = 7",
    "truncate shop.spare",
    "begin; truncate shop.orders; insert into shop.orders values (1, 5, 'paid', 'q'); commit",
    "begin; insert into shop.orders values (70, 1, 'new', 'never'); rollback",
    "begin; insert into shop.orders values (71, 8); prepare transaction 'p'; commit prepared 'p'",
    "call shop.creep()",
    "alter table shop.event attach partition shop.event_2 for values in (2)",
    "alter table shop.event detach partition shop.event_2",
    (
        "create or replace view shop.inner_view as"
        " select id, amount * 2 as amount, state::text as state from shop.orders"
    ),
    (
        "create or replace view shop.inner_view as"
        " select id, amount, state::text as state from shop.orders where amount > 5"
    ),
    "create or replace function shop.events() returns bigint begin atomic select -1::bigint; end",
    "alter type shop.state rename value 'new' to 'fresh'",
    "alter type shop.state rename value 'fresh' to 'new'",
    (
        "begin; alter table shop.orders rename to swapping; alter table shop.spare rename to orders;"
        " alter table shop.swapping rename to spare; commit"
    ),
    "vacuum full shop.orders",
    "vacuum analyze shop.orders",
    "alter table shop.orders add column more integer default 3",
    "alter table shop.archive no inherit shop.orders",
    "select pg_stat_reset()",
    "refresh materialized view reporting.above",
    "create table if not exists reporting.orders (id integer)",
    "alter table shop.event_1 set unlogged",
]


def at_random(reports: Reports, chance: random.Random) -> str | None:
    """One step; None where it isn't possible as things are."""
    step = chance.choice(STEPS)
    try:
        with connection(reports.bench) as person:
            person.connection.autocommit = True
            for statement in step.split("; ") if step.startswith("begin") else [step]:
                person.execute(statement)
    except psycopg2.Error:
        return None
    reports.tell()
    return step


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_no_history_makes_a_report_unchanged_that_is_not(reports: Reports, seed: int) -> None:
    chance = random.Random(seed)
    reports.bench.sql(SCHEMA)
    reports.tell()
    try:
        for number, (name, query) in enumerate(REPORTS.items(), 1):
            reports.made[name] = reports.bench.manifest(query, name, manifest_id=number)
        told, skipped = [], 0
        for _ in range(4):
            for name, manifest in reports.made.items():
                outcome = str(reports.refresh(name).outcome)
                skipped += outcome == "unchanged"
                told.append(f"{name} {outcome}")
                with reports.bench.platform.databases.session() as session:
                    assert not difference(session, manifest, reports.policy()), told
            told += [step for _ in range(chance.choice([0, 1, 1, 2])) if (step := at_random(reports, chance))]
        assert skipped, "nothing was skipped, so nothing was tried"
    finally:
        reports.bench.sql("drop schema shop cascade")
