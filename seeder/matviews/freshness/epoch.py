"""What all evidence of a database shares: since when its statistics count, the settings, and the types."""

#: The counters of a table that nobody wrote to are 0 when statistics begin, and 0 again after a crash, or on
#: a promoted standby, which never counted what it replayed: only all parts together tell these apart.
#: A timeline can't be asked for during recovery.
EPOCH = """
select concat_ws(
    '/',
    (select system_identifier from pg_control_system()),
    case when pg_is_in_recovery() then 'standby'
         else left(pg_walfile_name(pg_current_wal_lsn()), 8) end,
    extract(epoch from pg_postmaster_start_time()),
    coalesce(extract(epoch from (select stats_reset from pg_stat_wal))::text, 'never'),
    coalesce(extract(epoch from pg_stat_get_bgwriter_stat_reset_time())::text, 'never'),
    coalesce(extract(epoch from pg_stat_get_db_stat_reset_time(d.oid))::text, 'never'),
    d.oid
)
from pg_database as d
where d.datname = current_database()"""

#: What the stable functions that seeder knows (seeder.matviews.freshness.builtin), the output of types, and
#: searches in an index depend on.
NAMES = (
    "timezone", "datestyle", "intervalstyle", "extra_float_digits", "bytea_output", "lc_monetary",
    "lc_numeric", "lc_time", "timezone_abbreviations", "xmlbinary", "xmloption", "array_nulls",
    "gin_fuzzy_search_limit",
)  # fmt: skip

SETTINGS = f"""
select string_agg(concat_ws('=', name, current_setting(name, true)), ';')
from unnest(array['{"', '".join(NAMES)}']) as name"""

#: Labels of enums, checks of domains and collations, wherever they are used: they change so seldom that one
#: change for all of a database costs nothing.
TYPES = """
select md5(string_agg(concat_ws(' ', class, oid, version), ',' order by class, oid))
from (
    select 1, oid, xmin::text from pg_enum
  union all
    select 2, oid, xmin::text from pg_constraint where contypid > 0::oid
  union all
    select 3, oid, xmin::text from pg_collation where oid >= 16384
) as every (class, oid, version)"""
