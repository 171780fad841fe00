"""What a manifest may say of its own mode, time and role, and what the settings have the last word on."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest
from support.workbench import Bench

from seeder.errors import KeyNotUnique, ManifestError, QueryFailed, Rejected, RoleRefused, SharedTableConflict
from seeder.manifests import Manifest, owned
from seeder.matviews.limits import limited
from seeder.matviews.upkeep import bring_up_to_date
from seeder.sql.directives import Directives, RefreshMode, read_expectations

SLOW = "select count(*) as n from generate_series(1, 100000000)"
MANY = "insert into sale select n, 7, n from generate_series(101, 9999) as n"
OWNER = "select relowner::regrole::text from pg_class where oid = 'reporting.sales'::regclass"


def saying(bench: Bench, directives: str, query: str = "select * from sale") -> Manifest:
    return bench.manifest(f"-- seeder: {directives}\n{query}")


def test_a_manifests_mode_is_its_own(bench: Bench) -> None:
    manifest = saying(bench, "unique=(id) mode=plain")
    bench.refresh(manifest)
    before = bench.rewritten()
    bench.refresh(manifest, bench.policy(refresh_mode=RefreshMode.CONCURRENTLY))
    assert bench.rewritten() != before
    before = bench.rewritten()
    bench.refresh(saying(bench, "unique=(id) mode=auto"), bench.policy(refresh_mode=RefreshMode.PLAIN))
    assert bench.rewritten() == before


# --- timeout -----------------------------------------------------------------------------------------------


def test_a_manifests_timeout_ends_its_refresh_and_nothing_else(bench: Bench) -> None:
    manifest, policy = saying(bench, "timeout=100ms", SLOW), bench.policy()
    with bench.claimed(manifest, policy) as (session, found):
        with pytest.raises(QueryFailed, match=r"^57014: canceling statement due to statement timeout"):
            bring_up_to_date(session, manifest, found, policy)
        assert session.row("show statement_timeout").statement_timeout == "1h"


@pytest.mark.parametrize(
    ("general", "own", "holds", "whose"),
    [
        (3600, "2 h", 3600, None),
        (3600, "3600 s", 3600, None),
        (3600, "15min", 900, "the manifest's own timeout=15 min"),
        (0, "2 h", 7200, "the manifest's own timeout=2 h"),
        (0, None, 0, None),
    ],
)
def test_a_manifest_can_only_shorten_its_time_and_is_named_where_it_does(
    bench: Bench, general: float, own: str | None, holds: float, whose: str | None
) -> None:
    said = saying(bench, f"timeout={own}" if own else "mode=auto").directives
    policy = bench.policy(statement_timeout=general).of_manifest(said)
    assert (policy.limits.statement_timeout, policy.limits.directive) == (holds, whose)


def test_the_usual_timeout_costs_no_round_trip(bench: Bench) -> None:
    usual = bench.policy().limits
    nothing_to_talk_to = None
    with limited(
        nothing_to_talk_to, usual.shortened(timedelta(hours=2).total_seconds(), "timeout=2 h"), usual
    ):
        pass


# --- role --------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(bench: Bench) -> Iterator[str]:
    bench.sql("""
        create role "Seeder Test Reader";
        grant usage, create on schema reporting to "Seeder Test Reader";
        grant select on public.sale to "Seeder Test Reader"
    """)
    yield "Seeder Test Reader"
    bench.sql('drop owned by "Seeder Test Reader"; drop role "Seeder Test Reader"')


def test_a_role_that_nobody_allowed_is_refused(bench: Bench, reader: str) -> None:
    manifest = saying(bench, f'role="{reader}"')
    for policy in (bench.policy(), bench.policy(role="somebody", allowed_roles=("another",))):
        with pytest.raises(
            RoleRefused, match="asks for the role Seeder Test Reader, which is not in SEEDER_ALLOWED"
        ):
            bench.refresh(manifest, policy)
    assert bench.relations() == set()


def test_with_a_role_that_is_allowed_everything_runs_as_that_role(bench: Bench, reader: str) -> None:
    directives = f'role="{reader}" unique=(id) expect=(rows > 0, rows_change < 50%)'
    manifest, policy = saying(bench, directives), bench.policy(allowed_roles=(reader,))
    bench.refresh(manifest, policy)
    assert bench.value(OWNER) == f'"{reader}"'
    bench.refresh(manifest, policy)
    bench.sql("insert into sale values (5, 7, 0)")
    with pytest.raises(KeyNotUnique, match="2 rows have id = 5"):
        bench.refresh(manifest, policy)
    bench.sql("delete from sale")
    with pytest.raises(Rejected, match=r"wanted rows > 0, found 0; wanted rows_change < 50%, found 100%"):
        bench.refresh(manifest, policy)
    bench.sql("insert into sale values (5, 7, 0)")
    manifest = saying(bench, f'role="{reader}" index=(amount)')
    assert bench.refresh(manifest, policy).figures.records == 1


def test_a_connection_without_rights_of_its_own_does_it_all_as_that_role(bench: Bench, reader: str) -> None:
    first = saying(bench, f'role="{reader}" index=(amount)')
    manifest = saying(bench, f'role="{reader}" unique=(id) expect=(rows_change < 50%)')
    policy = bench.policy(allowed_roles=(reader,))
    unfit = "it has no column colour"
    bench.sql(f'create role seeder_test_weak noinherit; grant "{reader}" to seeder_test_weak')
    try:
        for run, terms, change, refused in (
            (first, policy, "select", None),
            (manifest, policy, "select", None),
            (manifest, policy, "delete from sale where id > 60", None),
            (manifest, policy, "insert into sale values (5, 7, 0)", "2 rows have id = 5"),
            (manifest, policy, "delete from sale where amount = 0", None),
            (first, replace(policy, expect=read_expectations("not_null(colour)")), "select", unfit),
            (manifest, policy, MANY, "60 rows before"),
        ):
            bench.sql(change)
            size = bench.value("select coalesce(pg_relation_size(to_regclass('reporting.sales')), 0)")
            with bench.claimed(run, terms) as (session, found):
                session.run_text("set session authorization seeder_test_weak")
                try:
                    with pytest.raises(ManifestError, match=refused) if refused else nullcontext():
                        bring_up_to_date(session, run, found, terms)
                    assert session.row("select current_user as name").name == "seeder_test_weak"
                finally:
                    session.run_text("reset session authorization")
            if refused:
                assert bench.value("select pg_relation_size('reporting.sales')") == size
        assert bench.value("select count(*) from reporting.sales") == 60
    finally:
        bench.sql("drop role seeder_test_weak")


def test_a_role_of_little_privilege_is_held_to_it(bench: Bench, reader: str) -> None:
    bench.sql(f'create table public.secret (id integer); revoke all on public.secret from "{reader}"')
    manifest = saying(bench, f'role="{reader}"', "select * from public.secret")
    with pytest.raises(QueryFailed, match=r"^42501: permission denied for table secret"):
        bench.refresh(manifest, bench.policy(allowed_roles=(reader,)))


def test_the_configured_role_may_always_be_named(bench: Bench) -> None:
    policy = bench.policy(role="somebody")
    assert policy.of_manifest(Directives(role="somebody")) == policy


def test_a_role_that_isnt_there_or_isnt_ours_to_take_is_told_by_postgresql(bench: Bench, reader: str) -> None:
    with pytest.raises(QueryFailed, match='role "nobody" does not exist'):
        bench.refresh(saying(bench, "role=nobody"), bench.policy(allowed_roles=("nobody",)))
    bench.sql("create role seeder_test_weak")
    try:
        with bench.claimed(bench.manifest(), bench.policy()) as (session, found):
            session.run_text("set session authorization seeder_test_weak")
            try:
                with pytest.raises(QueryFailed, match=r"^42501: permission denied to set role"):
                    bring_up_to_date(
                        session,
                        saying(bench, f'role="{reader}"'),
                        found,
                        bench.policy(allowed_roles=(reader,)),
                    )
            finally:
                session.run_text("reset session authorization")
    finally:
        bench.sql("drop role seeder_test_weak")


# --- shared tables -----------------------------------------------------------------------------------------


def test_manifests_that_share_a_table_must_agree_in_their_directives(bench: Bench) -> None:
    owner = saying(bench, "unique=(id)")
    alike = replace(saying(bench, "UNIQUE = (ID)", "SELECT * FROM sale"), manifest_id=2)
    different = replace(saying(bench, "index=(id)"), manifest_id=3)
    shared = owned([owner, alike, different], {None})
    assert shared.owners == (owner,)
    assert shared.sharers == {"custom-2": owner}
    ((manifest, error),) = shared.refused
    assert (manifest, type(error)) == (different, SharedTableConflict)
