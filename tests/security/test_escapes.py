"""A manifest that tries to get out of its statement: what the guard lets pass is executed for real, and
nothing but its own matview is different afterwards."""

import pytest
from support.escapes import DROP, QUERIES
from support.workbench import Bench

from seeder.errors import ManifestError

SLUGS = [
    "ua",
    f"'; {DROP}; --",
    f"\\'; {DROP}; --",
    f"$$; {DROP}; --",
    f"*/; {DROP}; /*",
    "''",
    "\\",
    "\uff07; x",
]

TABLES = [
    f'sales"; {DROP}; --',
    f"sales; {DROP}",
    f"reporting.sales as select 1; {DROP}",
    "pg_catalog.pg_class",
    "information_schema.sales",
    "\uff33ales",
    "s\u0430les",
    "sales\x00",
    "public.canary",
    "canary; --",
    "sales/**/",
]

DIRECTIVES = [
    f'index=("a"") ; {DROP}; --")',
    f"index=(a); {DROP}",
    'unique=("a"")) include (a")',
    f'role="postgres; {DROP}"',
    f'expect=(not_null("a"" from t; {DROP}; --"))',
    'expect=(fresh("a"") from t --", 1 day))',
    "role=none",
    "role=postgres",
    'index=("%(oid)s")',
]

#: Everything that a person could miss afterwards: the canary's rows, and what the catalogue holds.
STATE = """
select (select array_agg(c.note order by c.note) from public.canary as c),
       (select array_agg(format('%s %s %s %s', relname, relkind, relowner, relacl) order by oid)
        from pg_class
        where relnamespace <> 'pg_toast'::regnamespace and not (relnamespace = 'reporting'::regnamespace
              and relkind in ('m', 'i'))),
       (select array_agg(format('%s %s %s', rolname, rolsuper, rolcanlogin) order by oid) from pg_roles),
       (select array_agg(proname order by oid) from pg_proc where pronamespace <> 'pg_catalog'::regnamespace)
"""


@pytest.fixture
def canary(bench: Bench) -> Bench:
    bench.sql("create table public.canary as select 'alive'::text as note")
    return bench


def attempt(bench: Bench, **fields) -> None:
    """Run the manifest, twice where it can be: created, then refreshed."""
    before = bench.sql(STATE)
    for _ in range(2):
        try:
            manifest = bench.manifest(**{"query": "select 1 as a", **fields})
            manifest.verify()
            bench.refresh(manifest)
        except ManifestError:
            break
    assert bench.sql(STATE) == before


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_no_query_does_more_than_read(canary: Bench, conforming: str) -> None:
    name = canary.value("select current_database()")
    canary.sql(f"alter database {name} set standard_conforming_strings = {conforming}")
    canary.platform.databases.dispose()
    try:
        for number, query in enumerate(QUERIES):
            for slug in SLUGS if ":agency_slug" in query else SLUGS[:1]:
                attempt(canary, query=query, agency_slug=slug, table_name=f"attempt_{number}")
    finally:
        canary.sql(f"alter database {name} reset standard_conforming_strings")
        canary.platform.databases.dispose()


def test_a_slug_stands_in_a_matview_as_it_is(canary: Bench) -> None:
    for number, slug in enumerate(SLUGS):
        manifest = canary.manifest("select :agency_slug as a", f"slug_{number}", agency_slug=slug)
        canary.refresh(manifest)
        assert canary.value(f"select a from reporting.slug_{number}") == slug


def test_no_table_name_is_more_than_a_name(canary: Bench) -> None:
    for name in TABLES:
        attempt(canary, table_name=name)


def test_no_report_name_is_read_as_sql(canary: Bench) -> None:
    for slug in SLUGS:
        attempt(canary, report_name=slug)


def test_no_directive_is_read_as_sql(canary: Bench) -> None:
    for directive in DIRECTIVES:
        attempt(canary, query=f"-- seeder: {directive}\nselect 1 as a")
