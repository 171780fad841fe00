"""Which privileges a role has on the matviews of manifests, and which one a failed run lacked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import ManifestError, MayNotCreate, MayNotRefresh, QueryFailed
from seeder.postgres.failures import with_report
from seeder.postgres.session import Row, Session
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
       pg_has_role(session_user, c.relowner, %(becoming)s) as may_become,
       (select rolsuper from pg_roles
        where rolname = coalesce(pg_get_userbyid(c.relowner), current_user)) as superuser,
       %(knows_maintain)s and has_table_privilege(c.oid, %(maintain)s) as may_maintain
from unnest(cast(%(schemas)s as text[]), cast(%(names)s as text[])) as wanted (schema, name)
left join pg_namespace as n on n.nspname = wanted.schema
left join pg_class as c on c.relnamespace = n.oid and c.relname = wanted.name
"""

#: What PostgreSQL says where a right or a schema is missing.
ABOUT_RIGHTS = (errorcodes.INSUFFICIENT_PRIVILEGE, errorcodes.INVALID_SCHEMA_NAME)


@dataclass(frozen=True)
class Rights:
    """What a role is not allowed to do, if anything, and who owns the matview."""

    problem: ManifestError | None
    #: The matview isn't there, or the role has its owner's rights: then the query can be judged as the role.
    as_role: bool
    #: Whose rights the query runs with.
    reader: str
    #: The reader is another than the role, and the connection may become it to ask.
    ask_reader: bool
    #: The reader may do everything, and so may what the query calls.
    superuser: bool


def rights(session: Session, matviews: Sequence[MatviewName], set_role: str) -> dict[str, Rights]:
    """What the role may do with each matview, by its name. Changes nothing."""
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
            # Members who may inherit but not SET ROLE are new in PostgreSQL 16.
            becoming="set" if session.server_version >= 160000 else "member",
        )
    return {
        f"{row.schema}.{row.name}": Rights(
            _problem(row, knows_maintain),
            as_role=not row.there or row.owns,
            reader=row.owner if row.there else row.role,
            ask_reader=row.there and row.owner != row.role and row.may_become,
            superuser=bool(row.superuser),
        )
        for row in found
    }


def denied(session: Session, matview: MatviewName, set_role: str, error: QueryFailed) -> ManifestError:
    """The privilege that a run lacked, as `seeder plan` would have reported it; else the error with its role.

    Any other error is returned as it is, and so is one about a role that isn't there or can't be taken.
    """
    cause = error.__cause__
    if not isinstance(cause, psycopg2.Error) or cause.pgcode not in ABOUT_RIGHTS or session.closed:
        return error
    try:
        found = rights(session, [matview], set_role)[str(matview)]
    except psycopg2.Error:
        return error
    return found.problem or with_reader(error, found.reader)


def with_reader(error: QueryFailed, reader: str) -> QueryFailed:
    """The error; one about a privilege also says which role lacked it."""
    cause = error.__cause__
    if not isinstance(cause, psycopg2.Error) or cause.pgcode != errorcodes.INSUFFICIENT_PRIVILEGE:
        return error
    return with_report(error, replace(error.report, reader=reader))


def _problem(row: Row, knows_maintain: bool) -> ManifestError | None:
    table_name = f"{row.schema}.{row.name}"
    if row.there:
        if row.owns or row.may_maintain:
            return None
        maintain = ", or grant it MAINTAIN on the materialized view" if knows_maintain else ""
        return MayNotRefresh(role=row.role, table_name=table_name, owner=row.owner, maintain=maintain)
    if not row.schema_there:
        reason = f"there is no schema {row.schema}; create it, or correct table_name"
    elif not (row.may_create and row.may_use):
        reason = f"grant usage, create on schema {row.schema} to {row.role}"
    else:
        return None
    return MayNotCreate(role=row.role, table_name=table_name, reason=reason)
