"""Schemas of SEEDER_SEARCH_PATH in which nothing is looked up: PostgreSQL passes over one that isn't there,
or that the role may not use, without a word
(https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH)."""

from collections.abc import Iterable, Iterator

from seeder.diagnosis.survey import looking
from seeder.matviews import Policy
from seeder.postgres.databases import Databases, named_elsewhere

#: As the role. `public` is on the path by default, and many have dropped it.
PASSED_OVER = """
select path.name, n.oid is not null as there, current_user as role
from unnest(cast(%(path)s as name[])) with ordinality as path (name, place)
left join pg_namespace n on n.nspname = path.name
where path.name not in ('pg_catalog', 'public', 'pg_temp')
  and not coalesce(has_schema_privilege(n.oid, 'usage'), false)
order by path.place
"""

ABSENT = (
    "SEEDER_SEARCH_PATH names the schema {name}, which is in no database that was asked, so it has no "
    "effect. Correct it there (names are written as the catalogue has them), or create the schema."
)

NOT_USABLE = (
    "SEEDER_SEARCH_PATH names the schema {name}, which the role {role} may not use{place}, so nothing is "
    'looked up there: grant usage on schema "{name}" to "{role}".'
)


def passed_over(databases: Databases, places: Iterable[tuple[int | None, Policy]]) -> Iterator[str]:
    """Warnings about the path of manifests on these databases, as the policies' roles. A schema that only
    some of the databases have is as it should be: the setting is for all of them."""
    asked = 0
    absent: dict[str, int] = {}
    for database_id, policy in places:
        asked += 1
        with looking(databases, database_id, policy.limits) as session, session.transaction():
            if policy.set_role:
                session.run_text(policy.set_role)
            found = session.rows(PASSED_OVER, path=list(policy.limits.search_path))
        where = named_elsewhere(database_id)
        for row in found:
            if row.there:
                yield NOT_USABLE.format(name=row.name, role=row.role, place=f" in {where}" if where else "")
            else:
                absent[row.name] = absent.get(row.name, 0) + 1
    yield from (ABSENT.format(name=name) for name, times in absent.items() if times == asked)
