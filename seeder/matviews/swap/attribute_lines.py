"""Reads everything that is set on a matview from the catalogue, as lines (see ``swap.attributes``)."""

#: ``target`` is the quoted name that the statements are for, ``back`` the statement that follows a SET ROLE.
#: The lines' order is that in which their statements have to run.
LINES = """
with given as (
    -- The first mention says which type it has; format() would take any.
    select cast(%(target)s as text), cast(%(back)s as text), cast(%(oid)s as oid)
),
it as (
    select c.*, n.nspname, t.reloptions as toast_options, t.oid as toast
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_class t on t.oid = c.reltoastrelid
    where c.oid = cast(%(oid)s as oid)
),
attribute as (
    select a.*, format('column %I', a.attname) as named,
           format('column %I %s', a.attname, format_type(a.atttypid, a.atttypmod)) as typed
    from it join pg_attribute a on a.attrelid = it.oid and a.attnum > 0 and not a.attisdropped
),
index as (
    select i.*, c.relname, c.relam, c.reltablespace, n.nspname,
           case when starts_with(c.relname, 'seeder:index:') then c.relname
                else 'seeder:index:' || left(encode(sha256(convert_to(c.relname, 'UTF8')), 'hex'), 32)
           end as twin,
           -- What pg_get_indexdef begins with, up to the name of the access method.
           format('CREATE %sINDEX %I ON %I.%I ', case when i.indisunique then 'UNIQUE ' end,
                  c.relname, n.nspname, it.relname) as head,
           -- What it says of the options, and what it would say of those that people can set.
           options.all_of_them, options.known_ones, options.unknown
    from it
    join pg_index i on i.indrelid = it.oid
    join pg_class c on c.oid = i.indexrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_am m on m.oid = c.relam
    cross join lateral (
        select coalesce(' WITH (' || string_agg(said, ', ' order by number) || ')', '') as all_of_them,
               coalesce(' WITH (' || string_agg(said, ', ' order by number) filter (where is_known) || ')',
                        '') as known_ones,
               array_agg(name) filter (where not is_known) as unknown
        from (
            select number, name, quote_ident(name) || '=' || case quote_ident(value)
                       when value then value else quote_literal(value) end as said,
                   -- Those of an extension's kind of index are the extension's to know.
                   m.amname not in ('btree', 'hash', 'gist', 'spgist', 'gin', 'brin')
                       or name in ('fillfactor', 'deduplicate_items', 'buffering', 'fastupdate',
                                   'gin_pending_list_limit', 'pages_per_range', 'autosummarize') as is_known
            from pg_options_to_table(c.reloptions) with ordinality as o (name, value, number)
        ) as option
    ) as options
    -- What else was put on a copy stays on it.
    where not starts_with(it.relname, 'seeder:copy:') or starts_with(c.relname, 'seeder:index:')
),
statistic as (
    select s.*, n.nspname, pg_get_statisticsobjdef(s.oid) as definition,
           case when starts_with(s.stxname, 'seeder:statistics:') then s.stxname
                else 'seeder:statistics:' || left(encode(sha256(convert_to(s.stxname, 'UTF8')), 'hex'), 32)
           end as twin,
           format('CREATE STATISTICS %I.%I', n.nspname, s.stxname) as head,
           format(' FROM %I.%I', it.nspname, it.relname) as tail
    from it
    join pg_statistic_ext s on s.stxrelid = it.oid
    join pg_namespace n on n.oid = s.stxnamespace
    where not starts_with(it.relname, 'seeder:copy:') or starts_with(s.stxname, 'seeder:statistics:')
),
-- What people can set on a table or its TOAST table in PostgreSQL 15 to 18 (reloptions.c), but for
-- autovacuum's, which are all known. Whatever else is there, the server keeps for itself or a newer one has
-- invented: Debian's 15.20 has pg_attver at each column, each time another number, which nobody may set.
known (name) as (
    values ('fillfactor'), ('toast_tuple_target'), ('parallel_workers'), ('user_catalog_table'),
           ('vacuum_index_cleanup'), ('vacuum_truncate'), ('log_autovacuum_min_duration'),
           ('vacuum_max_eager_freeze_failure_rate')
),
option (about, named, is_known, name, value) as (
    select 'a table', null, starts_with(name, 'autovacuum_') or name in (select k.name from known k), o.*
    from it cross join pg_options_to_table(reloptions) as o (name, value)
  union all
    select 'a TOAST table', null,
           starts_with(name, 'autovacuum_') or name in (select k.name from known k), o.*
    from it cross join pg_options_to_table(toast_options) as o (name, value)
  union all
    select 'a column', attname, name in ('n_distinct', 'n_distinct_inherited'), o.*
    from attribute cross join pg_options_to_table(attoptions) as o (name, value)
),
home as (
    select spcname from pg_database join pg_tablespace s on s.oid = dattablespace
    where datname = current_database()
),
privilege as (
    select 'grant of ' || privilege_type || column_name || ' to ' || grantee || option || ' by ' || grantor
               as subject,
           named, as_grantor, privilege_type || column_name as what, grantee, option, and_back,
           case as_grantor when '' then 8 else 9 end + number / 1000.0 as place
    from (
        select number, named, column_name, privilege_type,
               case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as grantee,
               quote_ident(pg_get_userbyid(grantor)) as grantor,
               case when is_grantable then ' with grant option' else '' end as option,
               case grantor when owner then ''
                            else format('set local role %I; ', pg_get_userbyid(grantor)) end as as_grantor,
               case grantor when owner then '' else '; ' || %(back)s end as and_back
        from (
            select relowner as owner, cast(null as text) as named, '' as column_name, acl.*
            from it
            cross join aclexplode(coalesce(relacl, acldefault('r', relowner)))
                with ordinality as acl (grantor, grantee, privilege_type, is_grantable, number)
          union all
            select relowner, named, format(' (%I)', attname), acl.*
            from it
            cross join attribute
            cross join aclexplode(attacl)
                with ordinality as acl (grantor, grantee, privilege_type, is_grantable, number)
        ) as granted
    ) as told
),
line (place, subject, needs, make, unmake) as (
    select 1, 'owner', null, format('alter materialized view %s owner to %I', %(target)s,
           pg_get_userbyid(relowner)), null
    from it
  union all
    select 2, 'access method', null, format('alter materialized view %s set access method %I', %(target)s,
           amname), null
    from it join pg_am on pg_am.oid = relam
  union all
    select 3, 'tablespace', null, format('alter materialized view %s set tablespace %I', %(target)s,
           coalesce(s.spcname, home.spcname)), null
    from it cross join home left join pg_tablespace s on s.oid = it.reltablespace
  union all
    select 4, 'option ' || name, null,
           format('alter materialized view %s set (%I = %L)', %(target)s, name, value),
           format('alter materialized view %s reset (%I)', %(target)s, name)
    from option where about = 'a table' and is_known
  union all
    select 4, 'option toast.' || name, 'toast',
           format('alter materialized view %s set (toast.%I = %L)', %(target)s, name, value),
           format('alter materialized view %s reset (toast.%I)', %(target)s, name)
    from option where about = 'a TOAST table' and is_known
  union all
    select 5, 'storage of ' || typed, typed,
           format('alter materialized view %s alter column %I set storage %s', %(target)s, attname,
                  case attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main'
                                  else 'extended' end), null
    from attribute
  union all
    select 5, 'compression of ' || typed, typed,
           format('alter materialized view %s alter column %I set compression %s', %(target)s, attname,
                  case attcompression when 'p' then 'pglz' when 'l' then 'lz4' else 'default' end),
           null
    from attribute
  union all
    select 5, 'statistics target of ' || named, named,
           format('alter materialized view %s alter column %I set statistics %s', %(target)s, attname,
                  coalesce(attstattarget, -1)), null
    from attribute
  union all
    select 5, format('option %s of column %I', name, named), format('column %I', named),
           format('alter materialized view %s alter column %I set (%I = %L)', %(target)s, named, name, value),
           format('alter materialized view %s alter column %I reset (%I)', %(target)s, named, name)
    from option where about = 'a column' and is_known
  union all
    select 5, 'comment on ' || named, named,
           format('comment on column %s.%I is %L', %(target)s, attname, description),
           format('comment on column %s.%I is null', %(target)s, attname)
    from attribute
    join pg_description d on d.classoid = 'pg_class'::regclass and d.objoid = attrelid and d.objsubid = attnum
  union all
    select 6, 'security label of ' || provider || coalesce(' on ' || named, ''), named,
           case when named is null
                then format('security label for %I on materialized view %s is %L', provider, %(target)s,
                            label)
                else format('security label for %I on column %s.%I is %L', provider, %(target)s, attname,
                            label) end, null
    from it join pg_seclabel l on l.classoid = 'pg_class'::regclass and l.objoid = it.oid
    left join attribute on attnum = l.objsubid
  union all
    select 7, 'dependence on extension ' || extname, null,
           format('alter materialized view %s depends on extension %I', %(target)s, extname),
           format('alter materialized view %s no depends on extension %I', %(target)s, extname)
    from it
    join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = it.oid and d.deptype = 'x'
    join pg_extension e on e.oid = d.refobjid
  union all
    -- Whoever grants must have been granted the option before: the owner's grants come first.
    select place, subject, named,
           as_grantor || format('grant %s on %s to %s%s', what, %(target)s, grantee, option) || and_back,
           as_grantor || format('revoke %s on %s from %s', what, %(target)s, grantee) || and_back
    from privilege
  union all
    select 10, 'index ' || twin, null,
           format('create %sindex %I on %s ', case when indisunique then 'unique ' end, twin, %(target)s)
           || case when starts_with(pg_get_indexdef(indexrelid), head)
                   then replace(substr(pg_get_indexdef(indexrelid), length(head) + 1),
                                all_of_them, known_ones) end,
           format('drop index %I.%I', nspname, twin)
    from index
  union all
    select 11, 'tablespace of index ' || twin, null,
           format('alter index %I.%I set tablespace %I', nspname, twin, coalesce(s.spcname, home.spcname)),
           null
    from index cross join home left join pg_tablespace s on s.oid = index.reltablespace
  union all
    select 11, format('statistics target of index %s column %s', twin, attnum), null,
           format('alter index %I.%I alter column %s set statistics %s', nspname, twin, attnum,
                  coalesce(attstattarget, -1)), null
    from index join pg_attribute a on a.attrelid = indexrelid and a.attnum > 0 and attnum <= indnkeyatts
    -- Only an expression may have a target.
    where indkey[attnum - 1] = 0
  union all
    select 11, 'comment on index ' || twin, null,
           format('comment on index %I.%I is %L', nspname, twin, description),
           format('comment on index %I.%I is null', nspname, twin)
    from index
    join pg_description d on d.classoid = 'pg_class'::regclass and d.objoid = indexrelid and d.objsubid = 0
  union all
    select 11, 'dependence of index ' || twin || ' on extension ' || extname, null,
           format('alter index %I.%I depends on extension %I', nspname, twin, extname),
           format('alter index %I.%I no depends on extension %I', nspname, twin, extname)
    from index
    join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = indexrelid and d.deptype = 'x'
    join pg_extension e on e.oid = d.refobjid
  union all
    select 12, 'cluster mark', null, format('alter materialized view %s cluster on %I', %(target)s, twin),
           format('alter materialized view %s set without cluster', %(target)s)
    from index where indisclustered
  union all
    select 12, 'replica identity', null,
           format('alter materialized view %s replica identity %s', %(target)s,
                  -- An index can't be one: a matview's columns are all nullable.
                  case relreplident when 'f' then 'full' when 'n' then 'nothing' else 'default' end), null
    from it
  union all
    select 13, 'statistics object ' || nspname || '.' || twin, null,
           format('create statistics %I.%I', nspname, twin)
           || case when starts_with(definition, head) and right(definition, length(tail)) = tail
                   then substr(left(definition, -length(tail)), length(head) + 1) end
           || ' from ' || %(target)s,
           format('drop statistics %I.%I', nspname, twin)
    from statistic
  union all
    select 14, 'statistics target of ' || nspname || '.' || twin, null,
           format('alter statistics %I.%I set statistics %s', nspname, twin, coalesce(stxstattarget, -1)),
           null
    from statistic
  union all
    select 14, 'comment on statistics object ' || nspname || '.' || twin, null,
           format('comment on statistics %I.%I is %L', nspname, twin, description),
           format('comment on statistics %I.%I is null', nspname, twin)
    from statistic
    join pg_description d on d.classoid = 'pg_statistic_ext'::regclass and d.objoid = statistic.oid
  union all
    -- Last, for from here on it may be another role's.
    select 15, 'owner of statistics object ' || nspname || '.' || twin, null,
           format('alter statistics %I.%I owner to %I', nspname, twin, pg_get_userbyid(stxowner)), null
    from statistic
)
select * from line
union all select distinct -2, name, about, null, null from option where not is_known
union all select distinct -2, unnest(unknown), 'an index', null, null from index
union all select 0, unnest(array[named, typed]), null, null, null from attribute
union all select 0, 'toast', null, null, null from it where toast is not null
union all select -1, twin, format('index %I', relname),
                 format('alter index %I.%I rename to %I', nspname, twin, relname), null from index
union all select -1, twin, format('statistics object %I', stxname),
                 format('alter statistics %I.%I rename to %I', nspname, twin, stxname), null from statistic
order by place
"""
