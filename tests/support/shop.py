"""A database in which all occurs that evidence is made of, reports over it, and what people do to it."""

SCHEMA = """
create schema shop;
create schema near;
create schema far;
create type shop.state as enum ('new', 'paid');
create type shop.pair as (one integer, two integer);
create table shop.orders (id integer, amount integer, state shop.state, note text, extra integer);
create index orders_id on shop.orders (id);
create table shop.spare (id integer, amount integer, state shop.state, note text, extra integer);
insert into shop.orders select n, n, 'new', 'a' from generate_series(1, 20) as n;
insert into shop.spare select n, -n, 'paid', 'b' from generate_series(1, 5) as n;
create table shop.archive () inherits (shop.orders);
create table shop.event (id integer, kind integer) partition by list (kind);
create table shop.event_1 partition of shop.event for values in (1);
create table shop.event_2 (id integer, kind integer);
create table shop.other_event (id integer, kind integer) partition by list (kind);
create table shop.event_3 partition of shop.other_event for values in (3);
insert into shop.event select n, 1 from generate_series(1, 9) as n;
insert into shop.event_2 values (100, 2);
insert into shop.other_event values (300, 3);
create table shop.parent (id integer primary key);
create table shop.child (id integer references shop.parent on delete cascade);
insert into shop.parent values (1), (2), (3);
insert into shop.child values (1), (1), (2);
create table shop.pairs (p shop.pair);
insert into shop.pairs values (row(1, 2));
create table shop.moment (at timestamptz);
insert into shop.moment values ('2026-03-01 23:30+00');
create table near.thing (id integer);
create table far.thing (id integer);
insert into near.thing values (1);
create table public.item (id integer);
insert into public.item values (1), (2);
create view shop.inner_view as select id, amount, state::text as state from shop.orders where amount > 3;
create view shop.outer_view as select state, count(*) as number, sum(amount) as total
    from shop.inner_view group by state;
create view shop.next_view as select 'none' as state, 0::bigint as number, 0::bigint as total;
create function shop.events() returns bigint stable begin atomic select count(*) from shop.event; end;
create function shop.no_events() returns bigint stable begin atomic select 0::bigint; end;
create procedure shop.creep(wait boolean) language plpgsql as $$ begin
    insert into shop.orders values (50, 50, 'new', 'c'); commit;
    if wait then perform pg_advisory_xact_lock(17); end if;
    insert into shop.orders values (51, 51, 'new', 'c'); end $$;
create function shop.spread() returns trigger language plpgsql as $$ begin
    insert into shop.orders values (52, 52, 'paid', 'd'); return new; end $$;
create trigger spread before insert on shop.moment for each row execute function shop.spread();
"""
AWAY = """
drop schema if exists shop cascade;
drop schema if exists near cascade;
drop schema if exists far cascade;
"""

#: Those that read others come after them.
REPORTS = {
    "plain": "select id, amount from shop.orders",
    "keyed": "-- seeder: unique=(id)\nselect distinct on (id) id, amount > 10 as large from shop.orders"
    " order by id, amount, note",
    "views": "select state, number, total, shop.events() as events from shop.outer_view",
    "whole": "select o::text as line from shop.orders as o",
    "clock": "select count(*) as number, now() > '2000-01-01' as after from shop.orders",
    "swapped": "-- seeder: mode=swap\nselect kind, count(*) as number from shop.event group by kind",
    "family": "select p.id, count(c.id) as children from shop.parent p left join shop.child c using (id)"
    " group by p.id",
    "paired": "select p::text as p from shop.pairs",
    "zoned": "select date_trunc('day', at)::text as day from shop.moment",
    "nearby": "select id from near.thing",
    "bare": "select id from item",
    "above": "select count(*) as number, sum(amount) as total from reporting.plain",
    "top": "select a.number, k.large from reporting.above as a, reporting.keyed as k where k.id < 3",
}
READS = {"above": {"plain"}, "top": {"above", "keyed"}}

ZONE = "do $$ begin execute format('alter database %I {change}', current_database()); end $$"


def exchanged(kind: str, one: str, other: str, schema: str = "shop.") -> str:
    """Two that swap their names."""
    return (
        f"begin; alter {kind} {schema}{one} rename to swapping; alter {kind} {schema}{other} rename to {one};"
        f" alter {kind} {schema}swapping rename to {other}; commit"
    )


#: What a person does in a session of its own, which ends then. Not each is possible at each time.
STEPS = [
    "insert into shop.orders values (30, 7, 'new', 'x')",
    "update shop.orders set amount = amount + 1 where id = 3",
    "update shop.orders set note = 'y' where id = 4",
    "update shop.inner_view set amount = amount + 3 where id = 5",
    "delete from shop.orders where id = (select min(id) from shop.orders)",
    (
        "merge into shop.orders as o using shop.spare as s on o.id = s.id"
        " when matched then update set amount = s.amount when not matched then insert (id) values (s.id)"
    ),
    "with gone as (delete from shop.spare returning *) insert into shop.orders select * from gone",
    "insert into shop.archive values (60, 60, 'paid', 'z')",
    "insert into shop.event values (7, 1)",
    "insert into shop.moment values ('2026-06-01 12:00+00')",
    "insert into near.thing values (2)",
    "insert into item values (3)",
    "update shop.event set kind = 2 where id = 7",
    "delete from shop.event_1 where id = 7",
    "delete from shop.parent where id = 1",
    "truncate shop.spare",
    "truncate shop.parent cascade",
    "begin; truncate shop.orders; insert into shop.orders values (1, 5, 'paid', 'q'); commit",
    "begin; insert into shop.orders values (73, 9); truncate shop.archive; commit",
    "begin; insert into shop.orders values (70, 1, 'new', 'never'); rollback",
    "begin; truncate shop.orders; rollback",
    (
        "begin; savepoint s; insert into shop.orders values (74, 1); rollback to s;"
        " delete from shop.orders where id = 6; commit"
    ),
    "begin; insert into shop.orders values (71, 8); prepare transaction 'p'; commit prepared 'p'",
    "begin; insert into shop.orders values (72, 8); prepare transaction 'r'; rollback prepared 'r'",
    "call shop.creep(false)",
    "alter table shop.event attach partition shop.event_2 for values in (2)",
    "alter table shop.event detach partition shop.event_2",
    "alter table shop.event detach partition shop.event_1 concurrently",
    "alter table shop.event attach partition shop.event_1 for values in (1)",
    (
        "begin; alter table shop.other_event detach partition shop.event_3;"
        " alter table shop.event attach partition shop.event_3 for values in (3); commit"
    ),
    "create table shop.event_4 partition of shop.event default",
    "drop table shop.event_4",
    "alter table shop.event_1 set schema near",
    "alter table near.event_1 set schema shop",
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
    "alter type shop.pair add attribute three integer cascade",
    "alter table shop.orders alter column extra type text using coalesce(extra::text, 'none')",
    "alter table shop.orders alter column extra type integer using length(extra::text)",
    exchanged("table", "orders", "spare"),
    exchanged("view", "outer_view", "next_view"),
    exchanged("function", "events", "no_events"),
    exchanged("schema", "near", "far", ""),
    (
        "begin; alter table shop.orders rename column id to c; alter table shop.orders rename amount to id;"
        " alter table shop.orders rename c to amount; commit"
    ),
    "vacuum full shop.orders",
    "vacuum analyze shop.orders",
    "cluster shop.orders using orders_id",
    "alter table shop.orders set tablespace seeder_test_aside",
    "alter table shop.event_1 set tablespace seeder_test_aside",
    "alter table shop.orders set tablespace pg_default",
    "alter table shop.orders add column more integer default 3",
    "alter table shop.orders drop column more",
    "alter table shop.archive no inherit shop.orders",
    "alter table shop.archive inherit shop.orders",
    "alter table shop.event_1 set unlogged",
    "alter table shop.event_1 set logged",
    "alter table shop.moment disable trigger spread",
    "create rule doubled as on insert to shop.spare do also insert into shop.orders values (80, 8)",
    "insert into shop.spare values (90, 9)",
    "create table reporting.orders (id integer)",
    "create table reporting.item as select 7 as id",
    "drop table reporting.item",
    ZONE.format(change="set timezone = ''Asia/Tokyo''"),
    ZONE.format(change="reset timezone"),
    "select pg_stat_reset()",
    "select pg_stat_reset_single_table_counters('shop.orders'::regclass)",
    "select pg_stat_reset_shared('bgwriter')",
    "refresh materialized view reporting.plain",
    "refresh materialized view reporting.above",
]

#: What is begun before a seeding and ended after it: by the same session, or by another where that can be.
UNFINISHED = [
    ("begin; insert into shop.orders values (75, 5)", "commit"),
    ("begin; delete from shop.event where id = 3", "rollback"),
    ("begin; insert into shop.orders values (76, 6); prepare transaction 'u'", "commit prepared 'u'"),
    (
        "begin isolation level repeatable read; select count(*) from shop.orders",
        "refresh materialized view reporting.plain; commit",
    ),
    ("begin; insert into shop.child values (2); commit; begin; select 1", "commit"),
]
