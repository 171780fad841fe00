"""The helper view ``seeder_dashboard``: one row per manifest with its latest run, never-run ones included."""

from seeder.models import Contract
from seeder.run_ids import sql_is_scheduled, sql_seeding_of
from seeder.schema.writing import do_block, ident, literal, qualified
from seeder.sql.names import rendered_name_expression

VIEW = "seeder_dashboard"

#: Stands in `select` for the expression that finds the agency's name, which depends on the database.
AGENCY_NAME = "[agency_name]"
NO_AGENCY_NAME = "null::text"


def view_name(contract: Contract) -> str:
    """``reporting.seeder_dashboard``"""
    return f"{ident(contract.schema)}.{VIEW}"


def usable_agency(agency_table: str, role: str) -> str:
    """SQL for the agency table as ``regclass``; NULL unless it is there, has an integer id and `role` (an SQL
    expression) may read it. A view fails whole when its owner may not read one of its tables."""
    return f"""\
(
    select attrelid::regclass
    from pg_catalog.pg_attribute
    where attrelid = to_regclass({literal(agency_table)})
      and attname = 'id'
      and atttypid in ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
      and not attisdropped
      and has_table_privilege({role}, attrelid, 'select')
)"""


def agency_name(agency: str) -> str:
    """The expression for `AGENCY_NAME`, of the quoted agency table. ``to_jsonb`` copes with a table without
    the column ``name`` and leaves its owners free to rename or drop it under the view."""
    return f"(select to_jsonb(a) ->> 'name' from {agency} a where a.id = m.agency_id limit 1)"


def select(contract: Contract) -> str:
    """The view's query, with `AGENCY_NAME` still to be filled in.

    Every look-up goes through an index and is fenced with ``limit``, so that the planner can't turn it into a
    pass over the whole history: its time grows with the manifests, not with the runs.
    """
    return f"""\
-- What a manifest lacks is an empty text here, as it is in the record, whose columns are not null.
with manifest as (
    select
        text 'custom' as report_type,
        m.id as manifest_id,
        -- The history's own order: a name in another one (a rendered name is in that of "C") would find its
        -- runs through no index.
        coalesce(m.table_name, '') collate "default" as table_name,
        coalesce(m.report_name, '') as report_name,
        m.agency_id,
        coalesce(m.agency_slug, '') as agency_slug,
        coalesce(m.enabled, false) as enabled
    from {qualified(contract.custom_manifest)} m
    union all
    select
        'canned',
        m.id,
        coalesce({_rendered_name("r.table_name", "m")}, '') collate "default",
        coalesce(r.report_name, ''),
        m.agency_id,
        coalesce(m.agency_slug, ''),
        -- Some deployments have this column, the contract has not.
        coalesce((to_jsonb(m) ->> 'enabled')::boolean, true)
    from {qualified(contract.canned_manifest)} m
    left join {qualified(contract.canned_report)} r on r.id = m.canned_report_id
)
select
    m.report_type, m.manifest_id, m.table_name, m.report_name, m.agency_id, m.agency_slug,
    {AGENCY_NAME} as agency_name,
    m.enabled,
    latest.status, latest.duration_seconds, latest.start_time, latest.finish_time,
    latest.records_processed, latest.bytes_processed,
    coalesce(latest.consecutive_failures, 0) as consecutive_failures,
    latest.last_run_id, latest.last_errors, latest.updated_at
from manifest m
left join {qualified(contract.status)} s on s.table_name = m.table_name
-- The run that the status row tells of.
left join lateral (
    select h.created_at, h.finish_time, h.records_processed, h.bytes_processed
    from {qualified(contract.history)} h
    where h.run_id = s.last_run_id
    limit 1
) last on true
-- Where several manifests name one table, the status row is its owner's: the others' own last run.
-- (created_at has no index on purpose: an index in this order would tempt the planner to walk it.)
left join lateral (
    select
        h.id, h.run_id, h.status, h.duration_seconds, h.start_time, h.finish_time, h.records_processed,
        h.bytes_processed, h.consecutive_failures, h.errors, h.created_at, h.updated_at
    from {qualified(contract.history)} h
    where (s.report_type, s.manifest_id) is distinct from (m.report_type, m.manifest_id)
      and h.table_name = m.table_name
      and h.report_type = m.report_type
      and h.manifest_id = m.manifest_id
    order by h.created_at desc, h.id desc
    limit 1
) own on true
-- It counts if it is of the same seeding as the owner's last run, or newer: then it says that the table
-- is another's. So does an older one that was over when it was recorded, a refusal, until a tick of the
-- schedule, which is about all manifests, has passed without another. Any other older one is from before
-- the tables were shared.
cross join lateral (
    select
        own.run_id is not null and (
            {sql_seeding_of("own.run_id")} = {sql_seeding_of("s.last_run_id")}
            or own.created_at >= coalesce(last.created_at, '-infinity')
            or own.finish_time = own.created_at and not exists (
                select
                from (
                    select h.id, h.run_id
                    from {qualified(contract.history)} h
                    where h.table_name = m.table_name
                    offset 0
                ) later
                where later.id > own.id and {sql_is_scheduled("later.run_id")}
            )
        ) as counts
) own_run
cross join lateral (
    select
        own.status, own.duration_seconds, own.start_time, own.finish_time, own.records_processed,
        own.bytes_processed, own.consecutive_failures, own.run_id as last_run_id,
        own.errors as last_errors, own.updated_at
    where own_run.counts
    union all
    select
        s.status, s.duration_seconds, s.start_time, last.finish_time, last.records_processed,
        last.bytes_processed, s.consecutive_failures, s.last_run_id,
        s.last_errors, s.updated_at
    where own_run.counts is not true
) latest"""


def create_view(contract: Contract, agency_table: str) -> str:
    """Create the view, or replace its query; adapts to whether the agency table is there."""
    query = "\n".join(f"        {line}".rstrip() for line in select(contract).splitlines())
    tag = "$view$"
    while tag in query:
        tag = f"{tag[:-1]}_$"
    return do_block(
        f"""\
declare
    -- The agencies' table, where it is there and has an integer id.
    agency regclass := {_indented(usable_agency(agency_table, "current_user"))};
    agency_name text := {literal(NO_AGENCY_NAME)};
begin
    if agency is not null then
        agency_name := replace({literal(agency_name("[agency]"))}, '[agency]', agency::text);
    end if;
    execute replace({tag}
        create or replace view {view_name(contract)} as
{query}
    {tag}, {literal(AGENCY_NAME)}, agency_name);
end"""
    )


def _indented(sql: str) -> str:
    return sql.replace("\n", "\n    ")


def _rendered_name(template: str, manifest: str) -> str:
    """A canned report's ``table_name`` for one manifest as the record has it: placeholders filled in, or as
    written where one of them can't be (``Manifest.table_name`` does the same)."""
    rendered = rendered_name_expression(
        template,
        agency_slug=f"{manifest}.agency_slug",
        agency_id=f"{manifest}.agency_id",
        manifest_id=f"{manifest}.id",
    )
    return f"""\
case
            when {template} !~ '\\{{' then {template}
            when coalesce({manifest}.agency_slug, '') = '' then {template}
            when {manifest}.agency_id is null and strpos({template}, '{{agency_id}}') > 0 then {template}
            -- A placeholder that there is not.
            when {template} ~ '\\{{(?!(agency_slug|agency_id|manifest_id)\\}})[^{{}}]*\\}}' then {template}
            else {rendered}
        end"""
