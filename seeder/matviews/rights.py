"""What a role may do with the matviews of manifests, by the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass

from seeder.errors import ManifestError, MayNotCreate, MayNotRefresh
from seeder.session import Session
from seeder.sql.names import MatviewName

#: As the role: who owns or inherits from the owner may refresh; from 17 on who was granted MAINTAIN too
#: (https://www.postgresql.org/docs/current/sql-refreshmaterializedview.html). The word is a value, because
#: earlier versions don't know it.
RIGHTS = """
select wanted.schema, wanted.name, current_user as role,
       n.oid is not null as schema_there,
       coalesce(has_schema_privilege(n.oid, 'create'), false) as may_create,
       coalesce(has_schema_privilege(n.oid, 'usage'), false) as may_use,
       c.oid is not null and c.relkind = 'm' as there,
       pg_get_userbyid(c.relowner) as owner,
       pg_has_role(c.relowner, 'usage') as owns,
       %(knows_maintain)s and has_table_privilege(c.oid, %(maintain)s) as may_maintain
from unnest(cast(%(schemas)s as text[]), cast(%(names)s as text[])) as wanted (schema, name)
left join pg_namespace as n on n.nspname = wanted.schema
left join pg_class as c on c.relnamespace = n.oid and c.relname = wanted.name
"""


@dataclass(frozen=True)
class Rights:
    """What is wrong for the role, if anything; and whose the matview is."""

    problem: ManifestError | None
    #: The matview isn't there, or the role has its owner's rights: then the query runs with the role's.
    as_role: bool


def rights(session: Session, matviews: Sequence[MatviewName], set_role: str) -> dict[str, Rights]:
    """By the matview's name. Changes nothing."""
    knows_maintain = session.server_version >= 170000
    with session.transaction():
        if set_role:
            session.run_text(set_role)
        found = session.rows(
            RIGHTS,
            schemas=[one.schema for one in matviews],
            names=[one.name for one in matviews],
            knows_maintain=knows_maintain,
            maintain="maintain" if knows_maintain else "select",
        )
    return {
        f"{row.schema}.{row.name}": Rights(_problem(row, knows_maintain), not row.there or row.owns)
        for row in found
    }


def _problem(row: object, knows_maintain: bool) -> ManifestError | None:
    it: dict[str, object] = row._asdict()  # type: ignore[attr-defined]
    table_name = f"{it['schema']}.{it['name']}"
    if it["there"]:
        if it["owns"] or it["may_maintain"]:
            return None
        maintain = ", or grant it MAINTAIN on the materialized view" if knows_maintain else ""
        return MayNotRefresh(role=it["role"], table_name=table_name, owner=it["owner"], maintain=maintain)
    if not it["schema_there"]:
        reason = f"there is no schema {it['schema']}; create it, or correct table_name"
    elif not (it["may_create"] and it["may_use"]):
        reason = f"grant usage, create on schema {it['schema']} to {it['role']}"
    else:
        return None
    return MayNotCreate(role=it["role"], table_name=table_name, reason=reason)
