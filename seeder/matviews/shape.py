"""The names of all that a matview reads, as one hash.

PostgreSQL stores a query with the relations, columns and functions that its names meant when it was made,
and keeps to these whatever they are called since. What the words of a manifest's SQL mean now can differ

- by a rename: the table behind a name is another one, or none;
- by a column that a ``*`` stands for;
- by a relation of the same name earlier on the search_path, or by another search_path (SEEDER_SEARCH_PATH).

None of these comes without a change of this hash; whether one has come, only PostgreSQL's own words tell
(seeder.matviews.query.adopt). It holds names and no oids, so it outlives a dump and a restore. It isn't seen
when a function or an operator comes that fits a call better, or when the columns of a composite type change.
"""

_HASH = """\
left(encode(sha256(convert_to(coalesce(string_agg(
    concat_ws(' ', read.kind, read.schema, read.name, read.part), '/'
    order by read.kind, read.schema, read.name, read.number, read.part
), '') || array_to_string(cast(%(search_path)s as name[]), '/'), 'UTF8')), 'hex'), 16)"""

_READ = """\
(
    select distinct d.refclassid, d.refobjid
    from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where r.ev_class = c.oid and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
      and d.refobjid <> c.oid
) as source
cross join lateral (
    select 1 as kind, n.nspname as schema, its.relname as name, a.attnum as number, a.attname as part,
           n.xmin as named, n.xmin as placed
    from pg_class its join pg_namespace n on n.oid = its.relnamespace
    left join pg_attribute a on a.attrelid = its.oid and a.attnum > 0 and not a.attisdropped
    where source.refclassid = 'pg_class'::regclass and its.oid = source.refobjid
  union all
    select 2, n.nspname, namesake.relname, 0, null, namesake.xmin, n.xmin
    from pg_class its join pg_class namesake on namesake.relname = its.relname and namesake.oid <> its.oid
    join pg_namespace n on n.oid = namesake.relnamespace
    where source.refclassid = 'pg_class'::regclass and its.oid = source.refobjid
      and n.nspname = any (%(search_path)s::name[])
  union all
    select 3, n.nspname, p.proname, 0, null, p.xmin, n.xmin
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where source.refclassid = 'pg_proc'::regclass and p.oid = source.refobjid
) as read"""

#: For ``c``, a row of pg_class, and the schemas of a manifest's search_path. The first 16 digits, since
#: the stamp that keeps it is read by people too.
SHAPE = f"select {_HASH}\nfrom {_READ}"

#: Before a query is resolved, within its transaction: no transaction as old as this one runs any more.
BEGIN = """\
select pg_catalog.set_config(
    'seeder.began', pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.xid::text, true
);
"""

#: The same of a matview that was made since BEGIN, in its transaction; NULL where a name may mean something
#: else by now. What the matview reads can't be renamed or altered meanwhile, since the transaction holds
#: locks on it, but a relation or a schema of such a name can come, and 15 locks no functions. A row of the
#: catalogue that is younger than BEGIN says so: its xmin is the transaction that named it last. One so old
#: that its number comes again looks young; the next run then looks at the matview itself.
SHAPE_OF_NEW = f"""\
select case
    when bool_and(least(age(read.named), age(read.placed)) > age(current_setting('seeder.began')::xid))
         is not false
    then {_HASH}
end as shape
from (select to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text))::oid) as c (oid)
cross join lateral {_READ}
"""
