"""Finds queries that mean something else in psql than as a manifest, because the search_path differs there.

An operator of an extension outside the manifests' path isn't found, and PostgreSQL takes the next best:
citext's = becomes text's, and the rows are others, without an error. So the query is made a view a second
time, under the path that a session of its role begins with, and the two are compared as PostgreSQL prints
them, each name with its schema.
"""

from contextlib import suppress

import psycopg2

from seeder.matviews.policy import Policy
from seeder.postgres.session import OWN_PATH, Session
from seeder.sql.guard import SafeQuery
from seeder.wording import listed

#: The path of a session of the current role: ALTER ROLE … IN DATABASE, ALTER ROLE, ALTER DATABASE, ALTER ROLE
#: ALL, in this order (https://www.postgresql.org/docs/current/catalog-pg-db-role-setting.html), else the
#: server's. What a connection is reset to is that, unless its own role has another.
THEIRS = """
select coalesce(
    (
        select substr(setting, length('search_path=') + 1)
        from pg_db_role_setting s
        cross join unnest(s.setconfig) as setting
        where starts_with(setting, 'search_path=')
          and s.setrole in (0, (select oid from pg_roles where rolname = current_user))
          and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
        order by s.setrole <> 0 desc, s.setdatabase <> 0 desc
        limit 1
    ),
    (
        select case when current_user = session_user or not exists (
                   select from pg_db_role_setting s join pg_roles r on r.oid = s.setrole
                   where r.rolname = session_user
               ) then reset_val else boot_val end
        from pg_settings where name = 'search_path'
    )
) as path, current_user as role
"""

#: Whether other schemas are looked up, or in another order. Temporary ones, where there is nothing that a
#: query means, don't count, nor do ours that aren't there.
USE_PATH_OF_PSQL = """
savepoint before_elsewhere;
select set_config('search_path', %(path)s, true);
select array(
           select name from unnest(current_schemas(true)) with ordinality as its (name, place)
           where not starts_with(name, 'pg_temp_') order by place
       ) <> array(
           select nspname from unnest(cast(%(ours)s as name[])) with ordinality as its (name, place)
           join pg_namespace on nspname = name order by place
       ) as other
"""

VIEW_IN_PSQL = "create temporary view seeder_elsewhere as\n{query}\n;\n" + OWN_PATH
USE_OWN_PATH = "rollback to savepoint before_elsewhere;\n" + OWN_PATH

#: What only one of the two needs. Of PostgreSQL's own objects it doesn't note what is needed.
COMPARE = """
with needed as (
    select r.ev_class as view, pg_describe_object(d.refclassid, d.refobjid, 0) as what
    from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where r.ev_class in ('pg_temp.seeder_probe'::regclass, 'pg_temp.seeder_elsewhere'::regclass)
      and d.refobjid <> r.ev_class
), there as (
    select what from needed where view = 'pg_temp.seeder_elsewhere'::regclass
), here as (
    select what from needed where view = 'pg_temp.seeder_probe'::regclass
)
select pg_get_viewdef('pg_temp.seeder_probe'::regclass)
           = pg_get_viewdef('pg_temp.seeder_elsewhere'::regclass) as same,
       array(select what from there except select what from here order by 1) as there,
       array(select what from here except select what from there order by 1) as here
"""

#: Objects in a sentence.
NAMED = 5
OF_POSTGRESQL = "PostgreSQL's own"

MEANS_OTHERS = (
    "with the search_path of the role {role} in psql ({path}) its SQL means something else: there {there}, "
    "here {here}. Name the schemas in SEEDER_SEARCH_PATH (now {ours}), or write them in the SQL."
)


def meant_elsewhere(session: Session, query: SafeQuery, policy: Policy) -> str | None:
    """What the probe's query would mean in psql instead, inside the probe's block.

    None where that is the same, or nothing: names that aren't found there are found here.
    """
    theirs = session.row(THEIRS)
    ours = [one for one in policy.limits.search_path if one != "pg_temp"]
    try:
        if not session.row(USE_PATH_OF_PSQL, ours=ours, path=theirs.path).other:
            return None
        session.run_text(VIEW_IN_PSQL.format(query=query.text))
        found = session.row(COMPARE)
    except psycopg2.ProgrammingError:
        return None
    finally:
        with suppress(psycopg2.InterfaceError):
            session.run_text(USE_OWN_PATH)
    if found.same:
        return None
    return MEANS_OTHERS.format(
        role=theirs.role,
        path=theirs.path,
        ours=", ".join(one for one in ours if one != "pg_catalog"),
        there=listed(found.there, NAMED) or OF_POSTGRESQL,
        here=listed(found.here, NAMED) or OF_POSTGRESQL,
    )
