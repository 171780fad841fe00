"""The exchange among people who change the matview at the same time: nothing of theirs is lost silently."""

import threading
import time
from typing import Any

import psycopg2
import pytest
from support.company import between_look_and_lock, connection, hasty, meanwhile, nothing_is_left, run
from support.furniture import dump
from support.workbench import Bench

from seeder.errors import MatviewChanged, MatviewInUse
from seeder.matviews.result import Outcome
from seeder.matviews.swap import exchange
from seeder.postgres.session import Session

__all__ = ["hasty", "nothing_is_left"]

#: What a person puts on it, and how a dump shows that.
PUT = {
    "create index mine on reporting.sales (amount)": "INDEX mine ON reporting.sales",
    "comment on column reporting.sales.id is 'my column'": "IS 'my column'",
    "grant select on reporting.sales to public": "GRANT SELECT ON TABLE reporting.sales TO PUBLIC",
    "grant references (id) on reporting.sales to public": "GRANT REFERENCES(id)",
    "alter materialized view reporting.sales set (fillfactor = 55)": "WITH (fillfactor='55')",
    "create statistics public.mine on id, amount from reporting.sales": "STATISTICS public.mine",
}
PUT_ON_TOP = {
    "create view reporting.mine_too as select id from reporting.sales": "VIEW reporting.mine_too AS",
    "create or replace view reporting.seen as select id, 7 as seven from reporting.sales": "7 AS seven",
}


@pytest.mark.parametrize("moment", ["after the build", "before the lock"])
@pytest.mark.parametrize("put", [PUT, PUT_ON_TOP], ids=["on it", "on top"])
def test_what_a_person_puts_on_it_meanwhile_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, put: dict[str, str], moment: str
) -> None:
    bench.refresh()
    bench.sql("create view reporting.seen as select id from reporting.sales")
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    comment = (bench.comment() or "").replace("'", "''")
    ddl = ";".join([*put, f"comment on materialized view reporting.sales is 'My matview\n{comment}'"])
    if moment == "before the lock":
        between_look_and_lock(monkeypatch, bench, ddl)
    hook = meanwhile(bench, ddl) if moment == "after the build" else None
    old = bench.value("select 'reporting.sales'::regclass::oid")
    assert run(bench, "select id, agency_id, amount, 1 as one from sale", hook).outcome is Outcome.REBUILT
    assert bench.value("select 'reporting.sales'::regclass::oid") != old
    after = dump(bench)
    assert [part for part in put.values() if part not in after] == []
    assert "IS 'My matview\n{stamp}'" in after


@pytest.mark.parametrize("moment", ["after the build", "before the lock"])
def test_what_a_person_takes_from_it_meanwhile_does_not_come_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    bench.refresh()
    bench.sql("create index mine on reporting.sales (amount); grant select on reporting.sales to public")
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    ddl = "drop index reporting.mine; revoke select on reporting.sales from public"
    if moment == "before the lock":
        between_look_and_lock(monkeypatch, bench, ddl)
    run(bench, hook=meanwhile(bench, ddl) if moment == "after the build" else None)
    assert "mine" not in dump(bench)
    assert "GRANT" not in dump(bench)


MOVED = {
    "renamed": "alter materialized view reporting.sales rename to mine",
    "dropped": "drop materialized view reporting.sales",
    "replaced": """
        drop materialized view reporting.sales;
        create materialized view reporting.sales as select 1 as mine""",
    "with another column name": "alter materialized view reporting.sales rename column id to mine",
    "moved": "create schema if not exists mine; alter materialized view reporting.sales set schema mine",
    "read by a matview": "create materialized view reporting.mine as select id from reporting.sales",
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("moment", ["after the build", "before the lock"])
@pytest.mark.parametrize("ddl", MOVED.values(), ids=MOVED)
def test_a_matview_that_is_no_longer_the_same_is_left_as_the_person_made_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ddl: str, moment: str
) -> None:
    bench.refresh()
    if moment == "before the lock":
        between_look_and_lock(monkeypatch, bench, ddl)
    try:
        with pytest.raises(MatviewChanged, match="was changed by somebody else"):
            run(bench, hook=meanwhile(bench, ddl) if moment == "after the build" else None)
        made_by_person = dump(bench)
        bench.sql(
            "drop schema if exists mine cascade; drop materialized view if exists reporting.mine cascade"
        )
        bench.sql("drop materialized view if exists reporting.sales cascade")
        bench.refresh()
        bench.sql(ddl)
        assert dump(bench) == made_by_person
    finally:
        bench.sql("drop schema if exists mine cascade")


#: They take no lock on the matview; but each has a row in the catalogue, or a lock, that the exchange needs.
UNLOCKED = {
    "grant select on reporting.sales to public": "GRANT SELECT ON TABLE reporting.sales TO PUBLIC",
    "grant select (id) on reporting.sales to public": "GRANT SELECT(id) ON TABLE reporting.sales TO PUBLIC",
    "alter index reporting.one rename to mine": "CREATE INDEX mine ON reporting.sales",
    "comment on index reporting.one is 'mine'": "COMMENT ON INDEX reporting.one IS 'mine'",
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("ddl", "part"), UNLOCKED.items())
def test_what_is_not_committed_yet_is_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ddl: str, part: str
) -> None:
    bench.refresh()
    bench.sql("create index one on reporting.sales (id)")
    with connection(bench) as person:
        # After the last look, so that the exchange meets it.
        real, pending = exchange.exclusively, [ddl]

        def late(*arguments: object) -> object:
            if pending:
                person.execute(pending.pop())
            return real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(exchange, "exclusively", late)
        with pytest.raises(MatviewInUse):
            run(bench)
        person.connection.commit()
    run(bench)
    assert part in dump(bench)


@pytest.mark.parametrize("ddl", UNLOCKED)
def test_after_the_last_look_nothing_can_be_changed_any_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ddl: str
) -> None:
    """Whoever comes too late waits for the exchange, and then hears that it is another matview."""
    bench.refresh()
    bench.sql("create index one on reporting.sales (id)")
    real, refused = exchange.compare_attributes, []

    def compared(*arguments: object) -> object:
        found = real(*arguments)  # type: ignore[arg-type]
        with connection(bench) as person:
            person.execute("set lock_timeout = '100ms'")
            try:
                person.execute(ddl)
                person.connection.commit()
            except psycopg2.errors.LockNotAvailable:
                refused.append(ddl)
        return found

    monkeypatch.setattr(exchange, "compare_attributes", compared)
    assert run(bench).outcome is Outcome.SWAPPED
    assert refused == [ddl]


def test_a_view_that_came_late_is_locked_like_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.refresh()
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    real, locked = exchange.exclusively, []

    def watched(session: Session, old: Any, role: str, on_top: Any) -> object:
        if not locked:
            bench.sql("create view reporting.late as select id from reporting.sales")
        locked.append([view.name for view in on_top])
        return real(session, old, role, on_top)

    monkeypatch.setattr(exchange, "exclusively", watched)
    run(bench)
    assert locked == [[], ["reporting.late"]]


def test_what_is_committed_while_the_exchange_waits_for_it_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.refresh()
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    # Long enough to be seen waiting on a busy machine.
    monkeypatch.setattr(
        exchange,
        "SHORT_LOCK_TIMEOUT",
        exchange.SHORT_LOCK_TIMEOUT.replace(str(exchange.LOCK_WAIT_MS), "60000", 1),
    )
    waiting = """
        select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    """
    with connection(bench) as person:

        def commit_when_awaited() -> None:
            deadline = time.monotonic() + 30
            while not bench.value(waiting) and time.monotonic() < deadline:
                time.sleep(0.005)
            person.connection.commit()

        person.execute("grant select (id) on reporting.sales to public")
        thread = threading.Thread(target=commit_when_awaited)
        thread.start()
        assert run(bench).outcome is Outcome.SWAPPED
        thread.join()
    assert "GRANT SELECT(id) ON TABLE reporting.sales TO PUBLIC" in dump(bench)
