"""With a role of least privilege, a manifest reads what that role may read and nothing else, whatever it
calls: the functions here are such as somebody could make who may make any at all."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from support.workbench import Bench

from seeder.diagnosis.survey import looking
from seeder.errors import KeyNotUnique, QueryFailed, RoleRefused
from seeder.matviews import Policy
from seeder.matviews.query.analysis import analyse
from seeder.matviews.query.estimate import estimate

#: Ways back from SET LOCAL ROLE to what the connection may do: they have worked when the role is another one.
BACK = [
    "perform set_config('role', 'none', true)",
    "perform set_config('role', session_user, false)",
    "perform set_config('session_authorization', session_user, true)",
    "set role none",
    "set local role none",
    "reset role",
    "reset all",
    "set session authorization default",
    "reset session authorization",
]
#: What would have seeder itself run something later, and ways past the database: they have worked when
#: PostgreSQL lets them pass.
PAST = [
    "deallocate all",
    "prepare seeder_glance as select 1",
    "execute 'declare later cursor with hold for select 1'",
    "create temporary table later (n integer)",
    "listen seeder",
    "perform pg_read_file('PG_VERSION')",
    "perform lo_import('/etc/hostname')",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/seeder_escaped'",
]

SETUP = """
create role {a};
create role {b};
create schema {a};
create schema {b};
grant usage, create on schema {a} to {a};
grant usage on schema {b} to {b};
grant usage, create on schema reporting to {a}, {b};
create table {a}.sale as select n as id, n * 2 as amount from generate_series(1, 10) as n;
create table {a}.times as select 1 as n;
create table {b}.sale as select 'of b' as note;
create view public.of_b as select * from {b}.sale;
grant select on {a}.sale, {a}.times to {a};
grant select on {b}.sale to {b};
"""

#: Advisory locks of the session tell what happened, since they outlive a rollback: the number of what has
#: worked, and that all was tried.
TRY = """
set role {a};
create or replace function {a}.attempt() returns integer language plpgsql volatile as $$
begin
    {ways}
    perform pg_advisory_lock_shared(4713, 0);
    return 1;
end $$;
create or replace function {a}.innocent(n integer) returns integer language plpgsql immutable as $$
begin
    perform {a}.attempt();
    return n;
end $$;
"""
WAY = """
    begin
        {way};
        if {worked} then
            perform pg_advisory_lock_shared(4713, {number});
        end if;
    exception when others then null;
    end;"""
ALL_TRIED = {0}

#: With a constant it is the planner that calls the function.
QUERY = """-- seeder: unique=(id) expect=(rows > 0, not_null(id))
select {a}.innocent(id) as id, {a}.innocent(1) as one
from {a}.sale, generate_series(1, (select n from {a}.times))"""


@dataclass
class Two:
    """Two agencies' roles, each with a schema of the same name."""

    bench: Bench
    a: str
    b: str

    def sql(self, text: str, **more: str) -> None:
        self.bench.sql(text.format(a=self.a, b=self.b, **more))

    def policy(self, **settings: object) -> Policy:
        return self.bench.policy(role=self.a, **settings)

    def refresh(self, query: str, table_name: str = "sales", policy: Policy | None = None) -> None:
        manifest = self.bench.manifest(query.format(a=self.a, b=self.b), table_name)
        self.bench.refresh(manifest, policy or self.policy())

    def analyse(self, query: str) -> None:
        with self.looking() as session:
            analyse(session, self.bench.manifest(query.format(a=self.a, b=self.b)).query, self.policy(),
                    as_role=True)  # fmt: skip

    def estimate(self, query: str) -> None:
        with self.looking() as session:
            estimate(session, self.bench.manifest(query.format(a=self.a, b=self.b)).query, self.policy())

    def booby_trap(self, *ways: str) -> None:
        """Have the functions that the manifest calls try all these."""
        tries = (
            WAY.format(
                way=way, number=number, worked=f"current_user <> '{self.a}'" if way in BACK else "true"
            )
            for number, way in enumerate(ways, 1)
        )
        self.sql(TRY, ways="".join(tries))

    def looking(self):
        return looking(self.bench.platform.databases, None, self.policy().limits)

    def locks(self) -> set[int]:
        """The numbers of the advisory locks that some session holds."""
        return {row[0] for row in self.bench.sql("select objid::integer from pg_locks where classid = 4713")}


@pytest.fixture
def two(bench: Bench) -> Iterator[Two]:
    end = secrets.token_hex(4)
    two = Two(bench, f"seeder_test_a_{end}", f"seeder_test_b_{end}")
    two.sql(SETUP)
    yield two
    bench.platform.databases.dispose()
    two.sql(
        "drop view public.of_b; drop schema {a} cascade; drop schema {b} cascade; "
        "drop owned by {a}, {b} cascade; drop role {a}, {b}"
    )


def create_and_refresh(two: Two) -> None:
    for _ in range(2):
        two.refresh(QUERY)


def refresh_plain(two: Two) -> None:
    two.refresh(QUERY, policy=two.policy(refresh_mode="plain"))
    two.refresh(QUERY, policy=two.policy(refresh_mode="plain"))


def swap_and_rebuild(two: Two) -> None:
    two.refresh(QUERY, policy=two.policy(refresh_mode="swap"))
    two.refresh(QUERY, policy=two.policy(refresh_mode="swap"))
    two.refresh(QUERY + " where amount > 0")


def look_for_the_key_that_is_not_unique(two: Two) -> None:
    two.refresh(QUERY)
    two.sql("update {a}.times set n = 3")
    for policy in (two.policy(), two.policy(refresh_mode="plain"), two.policy(refresh_mode="swap")):
        with pytest.raises(KeyNotUnique, match="3 rows have id = "):
            two.refresh(QUERY, policy=policy)


def check(two: Two) -> None:
    two.analyse(QUERY)


def plan(two: Two) -> None:
    two.estimate(QUERY)


@pytest.mark.parametrize(
    "deed",
    [create_and_refresh, refresh_plain, swap_and_rebuild, look_for_the_key_that_is_not_unique, check, plan],
)
def test_no_function_gets_out_of_the_role(two: Two, deed: Callable[[Two], None]) -> None:
    two.booby_trap(*BACK, *PAST)
    deed(two)
    assert two.locks() == ALL_TRIED


def test_a_function_gets_out_of_a_role_that_is_merely_set(two: Two) -> None:
    """Or the tests above would show nothing."""
    for way in BACK:
        two.booby_trap(way)
        with two.looking() as session:
            session.run_text(f"begin; set local role {two.a}; explain select {two.a}.innocent(1); rollback")
            session.run_text("set session authorization default; reset role")
            # RESET ALL leaves roles alone.
            assert two.locks() == ({0} if way == "reset all" else {0, 1}), way
            session.run_text("select pg_advisory_unlock_all()")


def test_what_a_function_sets_does_not_outlast_the_run(two: Two) -> None:
    two.booby_trap(
        f"perform set_config('search_path', '{two.a}', false), set_config('statement_timeout', '7', false)"
    )
    look = "select current_setting('search_path') as path, current_setting('statement_timeout') as timeout"
    create_and_refresh(two)
    with two.looking() as session:
        check(two)
        plan(two)
        assert session.row(look) == ("pg_catalog, pg_temp", "1h")
    assert two.locks() == {0, 1}


REACHING = [
    "select * from {b}.sale",
    "table {b}.sale",
    "select amount, (select max(note) from {b}.sale) from {a}.sale",
    "with theirs as (select * from {b}.sale) select count(*) from theirs",
    "select 1 as one where exists (select from {b}.sale)",
    "select s from {a}.sale as s, lateral (select note from {b}.sale) as theirs",
    "select * from of_b",
    "select * from public.of_b",
    "select * from reporting.matview_of_b",
]


def test_a_manifest_of_one_agency_reads_nothing_of_another(two: Two) -> None:
    two.refresh("select * from {b}.sale", "matview_of_b", two.bench.policy(role=two.b))
    for query in REACHING:
        for ask in (two.refresh, two.analyse, two.estimate):
            with pytest.raises(QueryFailed) as failed:
                ask(query)
            said, *more = str(failed.value).splitlines()
            assert said.startswith("42501: permission denied for "), query
            whose = f"The query is run with the rights of {two.a}."
            assert all(line == whose or line.startswith("At line 1, column ") for line in more)
    assert two.bench.relations() == {"matview_of_b"}


def test_the_role_that_a_manifest_chooses_is_a_wall_too(two: Two) -> None:
    policy = two.bench.policy(allowed_roles=[two.a])
    two.refresh("-- seeder: role={a}\nselect * from {a}.sale", policy=policy)
    with pytest.raises(QueryFailed, match="42501: permission denied for schema"):
        two.refresh("-- seeder: role={a}\nselect * from {b}.sale", "theirs", policy)
    with pytest.raises(RoleRefused):
        two.refresh("-- seeder: role={b}\nselect * from {b}.sale", "theirs", policy)


def test_a_security_definer_function_gives_what_its_owner_may(two: Two) -> None:
    """As its maker meant it to: this is granted, not stolen (docs/security.md)."""
    two.sql(
        "create function {a}.notes() returns setof text stable language sql security definer "
        "set search_path = pg_catalog as 'select note from {b}.sale'"
    )
    two.refresh("select * from {a}.notes()")
    assert two.bench.value("select * from reporting.sales") == "of b"
    two.sql("revoke execute on function {a}.notes() from public")
    with pytest.raises(QueryFailed, match="42501: permission denied for function notes"):
        two.refresh("select * from {a}.notes() as again", "theirs")
