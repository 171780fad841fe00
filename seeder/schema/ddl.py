"""The whole schema as one idempotent script, for the schema's owners to read and run."""

from seeder.models import Contract, contract
from seeder.schema.dashboard import create_view
from seeder.schema.writing import create_schema, do_block, literal, qualified, whole_table

_HEADER = """\
-- The tables, checks, indexes and view of seeder's contract.
-- Can be run again at any time: what is there already stays as it is."""


def ddl(schema: str, agency_table: str, *, agency_fk: bool = False) -> str:
    """The SQL that creates what the contract asks for and is missing; what is there already stays as it is.

    `agency_table` is written as in SQL (``public.agency``). With `agency_fk` the history and status rows also
    refer to it by a foreign key, so that an agency with runs can't be deleted.
    """
    wanted = contract(schema)
    parts = [
        _HEADER,
        create_schema(wanted),
        *(whole_table(table) for table in wanted.metadata.tables.values()),
        f"-- One row per manifest with its latest run, for dashboards.\n{create_view(wanted, agency_table)}",
    ]
    if agency_fk:
        parts += [agency_key(wanted, agency_table)]
    return "\n\n".join(parts) + "\n"


def agency_key(wanted: Contract, agency_table: str) -> str:
    """A foreign key from ``agency_id`` of both tables to the agency table's id, where there is none yet."""
    return (
        "-- Rows refer to an agency that exists. Not valid: rows of agencies that are gone already may stay\n"
        "-- (docs/decisions says why this key is an option and not the default).\n"
        + do_block(
            f"""\
declare
    child regclass;
begin
    if to_regclass({literal(agency_table)}) is null then
        raise exception 'there is no agency table %', {literal(agency_table)};
    end if;
    foreach child in array array[
        {literal(qualified(wanted.history))}::regclass,
        {literal(qualified(wanted.status))}::regclass
    ] loop
        if not exists (
            select
            from pg_constraint k
            join pg_attribute a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
            where k.conrelid = child and k.contype = 'f' and a.attname = 'agency_id'
        ) then
            execute format(
                'alter table %s add foreign key (agency_id) references %s (id) not valid',
                child, to_regclass({literal(agency_table)})
            );
        end if;
    end loop;
end"""
        )
    )
