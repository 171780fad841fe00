"""Reads from PostgreSQL's catalogue which of the contract's objects a database has."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from seeder.postgres.relation_kinds import kind_of_relation


@dataclass(frozen=True, slots=True)
class LiveColumn:
    """One column as it is."""

    name: str
    #: As ``format_type`` spells it.
    type: str
    #: ``pg_type.typcategory``: S for all kinds of text, B for booleans, N for numbers.
    category: str
    not_null: bool
    default: str | None
    #: Serial or identity.
    numbers_itself: bool
    generated: bool
    #: The quoted sequence behind a serial column that this role may not draw from; None where all is well.
    closed_sequence: str | None
    #: Whether the dashboard view uses it, which keeps its type from being altered.
    in_view: bool


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """One index as it is."""

    name: str
    #: As they are written: ``("start_time desc",)``.
    keys: tuple[str, ...]
    unique: bool
    primary: bool
    #: A valid, immediate btree index over all rows: one that ``on conflict`` and any look-up can use.
    usable: bool
    #: Whether a constraint owns it, so that it can only be dropped with that.
    of_constraint: bool


@dataclass(frozen=True, slots=True)
class LiveCheck:
    """One enforced check constraint as it is."""

    name: str
    columns: tuple[str, ...]
    expression: str


@dataclass(frozen=True, slots=True)
class LiveTable:
    """One relation as it is."""

    kind: str
    #: Of select, insert, update, delete: what the connection's role may do.
    privileges: frozenset[str]
    columns: dict[str, LiveColumn]
    indexes: tuple[LiveIndex, ...]
    checks: tuple[LiveCheck, ...]
    #: Columns that a foreign key is on.
    foreign_keys: frozenset[str]

    @property
    def holds_rows(self) -> bool:
        """Whether it can be read as a table."""
        return self.kind not in ("sequence", "index", "composite type")


@dataclass(frozen=True, slots=True)
class LiveSchema:
    """The part of a schema that the contract is about."""

    #: The connection's role, quoted for SQL.
    role: str
    exists: bool
    #: Whether the role may look into the schema.
    open: bool
    tables: dict[str, LiveTable]


_SCHEMA = """
select
    quote_ident(current_user) as role,
    oid is not null as exists,
    coalesce(has_schema_privilege(oid, 'usage'), false) as open
from (values (cast(:schema as name))) as wanted (name)
left join pg_catalog.pg_namespace on nspname = wanted.name
"""

_TABLES = """
select
    c.oid, c.relname as name, c.relkind::text as kind,
    array(
        select privilege
        from unnest(array['select', 'insert', 'update', 'delete']) as privilege
        where c.relkind in ('r', 'p', 'v', 'm', 'f') and has_table_privilege(c.oid, privilege)
    ) as privileges
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relname = any(:names)
"""

_COLUMNS = """
select
    a.attrelid as oid, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
    t.typcategory::text as category, a.attnotnull as not_null,
    pg_get_expr(d.adbin, d.adrelid) as default,
    a.attidentity <> ''
        or coalesce(pg_get_expr(d.adbin, d.adrelid), '') like 'nextval(%' as numbers_itself,
    a.attgenerated <> '' as generated,
    (
        select s.oid::regclass::text
        from pg_catalog.pg_depend p
        join pg_catalog.pg_class s on s.oid = p.refobjid
        where p.classid = 'pg_catalog.pg_attrdef'::regclass and p.objid = d.oid
          and p.refclassid = 'pg_catalog.pg_class'::regclass
          -- The case keeps the planner from asking about other relations, which is an error.
          and case when s.relkind = 'S' then not has_sequence_privilege(s.oid, 'usage') end
        limit 1
    ) as closed_sequence,
    exists (
        select
        from pg_catalog.pg_depend p
        join pg_catalog.pg_rewrite r on r.oid = p.objid
        join pg_catalog.pg_class v on v.oid = r.ev_class
        join pg_catalog.pg_namespace n on n.oid = v.relnamespace
        where p.classid = 'pg_catalog.pg_rewrite'::regclass
          and p.refclassid = 'pg_catalog.pg_class'::regclass
          and p.refobjid = a.attrelid and p.refobjsubid = a.attnum
          and n.nspname = :schema and v.relname = :view
    ) as in_view
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any(:oids) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""

_INDEXES = """
select
    i.indrelid as oid, c.relname as name, i.indisunique as unique, i.indisprimary as primary,
    array(
        select pg_get_indexdef(i.indexrelid, key, false)
            || case when i.indoption[key - 1] & 1 = 1 then ' desc' else '' end
        from generate_series(1, i.indnkeyatts) as key
        order by key
    ) as keys,
    i.indisvalid and i.indimmediate and i.indpred is null and m.amname = 'btree' as usable,
    exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid
            and k.conrelid = i.indrelid) as of_constraint
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am m on m.oid = c.relam
where i.indrelid = any(:oids)
order by i.indrelid, c.relname
"""

#: ``conenforced`` is there from PostgreSQL 18 on.
_CONSTRAINTS = """
select
    k.conrelid as oid, k.conname as name, k.contype::text as type,
    array(
        select a.attname::text
        from unnest(k.conkey) as key
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = key
        order by a.attname
    ) as columns,
    pg_get_expr(k.conbin, k.conrelid) as expression
from pg_catalog.pg_constraint k
where k.conrelid = any(:oids)
  and k.contype in ('c', 'f')
  and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
order by k.conrelid, k.conname
"""


def read(connection: Connection, schema: str, names: Sequence[str], view: str) -> LiveSchema:
    """The relations of these names in the schema, as they are; those that aren't there are left out."""
    of_schema = connection.execute(text(_SCHEMA), {"schema": schema}).one()
    found = connection.execute(text(_TABLES), {"schema": schema, "names": list(names)}).all()
    oids = [row.oid for row in found]
    columns = _by_table(connection, _COLUMNS, oids=oids, schema=schema, view=view)
    indexes = _by_table(connection, _INDEXES, oids=oids)
    constraints = _by_table(connection, _CONSTRAINTS, oids=oids)
    return LiveSchema(
        role=of_schema.role,
        exists=of_schema.exists,
        open=of_schema.open,
        tables={
            row.name: LiveTable(
                kind=kind_of_relation(row.kind),
                privileges=frozenset(row.privileges),
                columns={values["name"]: LiveColumn(**values) for values in columns[row.oid]},
                indexes=tuple(
                    LiveIndex(**{**values, "keys": tuple(values["keys"])}) for values in indexes[row.oid]
                ),
                checks=tuple(
                    LiveCheck(values["name"], tuple(values["columns"]), values["expression"])
                    for values in constraints[row.oid]
                    if values["type"] == "c"
                ),
                foreign_keys=frozenset(
                    column
                    for values in constraints[row.oid]
                    if values["type"] == "f"
                    for column in values["columns"]
                ),
            )
            for row in found
        },
    )


def _by_table(connection: Connection, sql: str, **values: Any) -> dict[int, list[dict[str, Any]]]:
    """The rows, each without its table's oid, listed under it."""
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(text(sql), values).mappings():
        rows[row["oid"]].append({name: value for name, value in row.items() if name != "oid"})
    return rows
