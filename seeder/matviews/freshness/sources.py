"""What matviews read, in one statement for any number of them: their sources, how often these were written
to, and the definitions in between.

From a matview over its rule, views, SQL functions with a parsed body, operators and aggregates to the tables,
other matviews and whatever else there is at the end; of a table also what it is partitioned into and what
inherits from it. A matview at the end is a source like a table: it changes when it is refreshed, and doesn't
when the refresh changes nothing.

Each object is told by the ``xmin`` of its row in the catalogue: whatever changes the row makes a new version
of it, which bears the transaction's number, and VACUUM keeps it. Tables and matviews are told by columns,
since GRANT and REFRESH rewrite their rows, too. PostgreSQL notes no dependency on its own objects; those
don't change, and whether the query may use them is another question (seeder.matviews.freshness.analysis).
"""

#: ``%(oids)s`` are the matviews. `reached` holds for each what its definition depends on. Rules are views'
#: SELECT; what a rule says of the relation it belongs to is no source.
REACHED = """
recursive root as (
    select unnest(cast(%(oids)s as oid[])) as oid
), reached (root, class, object) as (
    select oid, cast('pg_class' as regclass), oid from root
  union
    select reached.root, next.class, next.object
    from reached
    cross join lateral (
        select cast('pg_rewrite' as regclass), rule.oid
        from pg_rewrite as rule
        join pg_class as its on its.oid = rule.ev_class
        where reached.class = cast('pg_class' as regclass) and rule.ev_class = reached.object
          and rule.ev_type = '1' and (its.relkind = 'v' or its.oid = reached.root)
      union all
        select cast(needed.refclassid as regclass), needed.refobjid
        from pg_depend as needed
        where reached.class <> cast('pg_class' as regclass)
          and needed.classid = reached.class and needed.objid = reached.object and needed.deptype = 'n'
          and needed.refclassid in (
              cast('pg_class' as regclass), cast('pg_proc' as regclass), cast('pg_operator' as regclass)
          )
    ) as next (class, object)
)"""

#: Of ``c``, a row of pg_class: the schemas on a manifest's search path that have a relation of this name. A
#: new one may be what the name in a manifest's SQL means from now on.
NAMESAKES = """array(
    select namesake.relnamespace from pg_class as namesake
    where namesake.relname = c.relname
      and namesake.relnamespace in (
          select oid from pg_namespace where nspname = any (cast(%(search_path)s as name[]))
      )
    order by 1
)"""

#: Each source with its parts, itself among them; and what is known of each part.
PARTS = f"""
source as (
    select distinct reached.root, reached.object as oid
    from reached join pg_class as c on c.oid = reached.object
    where reached.class = cast('pg_class' as regclass) and c.relkind <> 'v' and c.oid <> reached.root
), part (source, oid) as (
    select distinct oid, oid from source
  union
    select part.source, inherits.inhrelid
    from part join pg_inherits as inherits on inherits.inhparent = part.oid
), known as (
    select c.oid, c.relkind as kind, c.relfilenode as file, n.nspname as schema, c.relname as name,
           pg_stat_get_tuples_inserted(c.oid) as inserted,
           pg_stat_get_tuples_updated(c.oid) as updated,
           pg_stat_get_tuples_deleted(c.oid) as deleted,
           concat_ws(
               ' ', n.nspname, c.relname, c.relkind, c.relpersistence, c.relam, c.relowner, c.relacl,
               c.relrowsecurity, c.relforcerowsecurity, {NAMESAKES}
           ) as traits,
           case
               when c.relkind = 'f' then 'foreign'
               when c.relkind = 'S' then 'sequence'
               when n.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then 'catalogue'
               when c.relkind not in ('r', 'p', 'm') then 'catalogue'
               when c.relpersistence = 't' then 'temporary'
               when c.relpersistence = 'u' then 'unlogged'
               when c.relkind in ('r', 'm') and am.amname is distinct from 'heap' then 'access_method'
               when c.relrowsecurity then 'row_security'
               when c.relname in ('seeder_run_history', 'seeder_job_status') then 'own_record'
           end as hindrance
    from (select distinct oid from part) as every
    join pg_class as c on c.oid = every.oid
    join pg_namespace as n on n.oid = c.relnamespace
    left join pg_am as am on am.oid = c.relam
), columns as (
    -- A whole row (select t, to_json(t)) has the columns that the table has now.
    select a.attrelid as oid, hash_record_extended(row(array_agg(a.xmin::text order by a.attnum)), 0) as their
    from pg_attribute as a
    where a.attrelid in (select oid from known) and a.attnum > 0
    group by a.attrelid
), described as (
    select part.source,
           sum(known.inserted + known.updated + known.deleted) as written,
           md5(string_agg(
               concat_ws(' ', known.oid, known.file, columns.their, known.traits), ',' order by known.oid
           )) as form,
           md5(string_agg(
               concat_ws(' ', known.oid, known.inserted, known.updated, known.deleted), ','
               order by known.oid
           )) as counters,
           array_agg(distinct known.hindrance order by known.hindrance)
               filter (where known.hindrance is not null) as hindrances
    from part
    join known on known.oid = part.oid
    left join columns on columns.oid = part.oid
    group by part.source
)"""

#: What of the definitions is no table: rules of views, functions, operators, and the views themselves, whose
#: options (security_invoker) matter. The matview's own rule can't change while it is the same matview.
DEFINED = f"""
defined as (
    select distinct reached.root, v.class, v.oid, v.version
    from reached
    cross join lateral (
        select 1, r.oid, r.xmin::text from pg_rewrite as r
        where reached.class = cast('pg_rewrite' as regclass) and r.oid = reached.object
          and r.ev_class <> reached.root
      union all
        select 2, p.oid, p.xmin::text from pg_proc as p
        where reached.class = cast('pg_proc' as regclass) and p.oid = reached.object
      union all
        select 3, o.oid, o.xmin::text from pg_operator as o
        where reached.class = cast('pg_operator' as regclass) and o.oid = reached.object
      union all
        select 4, c.oid, concat_ws(' ', c.xmin, {NAMESAKES}) from pg_class as c
        where reached.class = cast('pg_class' as regclass) and c.oid = reached.object
          and c.relkind = 'v' and c.oid <> reached.root
    ) as v (class, oid, version)
)"""
