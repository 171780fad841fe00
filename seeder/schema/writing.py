"""The contract's objects as SQL: one function per kind of statement.

`ddl` strings them together for a whole schema, and each difference that `check` finds is mended by one of
them, so a database that was mended piece by piece and one that was applied to are the same.
"""

import re
import textwrap

from pglast.keywords import RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS
from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import DefaultClause
from sqlalchemy.sql.elements import TextClause

from seeder.models import Contract
from seeder.sql.names import quoted

#: The keywords that can't be a schema's or a column's name as they are (gram.y leaves them out of ColId).
_NEVER_BARE = frozenset(RESERVED_KEYWORDS) | frozenset(TYPE_FUNC_NAME_KEYWORDS)

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def ident(name: str) -> str:
    """The identifier, between double quotes where PostgreSQL needs them: this SQL is for people to read."""
    plain = re.fullmatch("[a-z_][a-z0-9_]*", name) and name not in _NEVER_BARE
    return name if plain else quoted(name)


def literal(value: str) -> str:
    """The text as an SQL string constant."""
    # A string constant without E knows no escapes, as standard_conforming_strings is on since 9.1.
    return "'" + value.replace("'", "''") + "'"


def do_block(body: str) -> str:
    """An anonymous PL/pgSQL block around the body, whatever dollar signs the body holds."""
    tag = "$do$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"do {tag}\n{body}\n{tag};"


def qualified(table: Table) -> str:
    """``reporting.seeder_run_history``"""
    return f"{ident(str(table.schema))}.{ident(table.name)}"


def column_type(column: Column[object]) -> str:
    """The type as ``format_type`` of PostgreSQL spells it: ``timestamp with time zone``."""
    return column.type.compile(_DIALECT).lower()


def column_default(column: Column[object]) -> str | None:
    """The default's expression, ``now()`` or ``0``; None where there is none, bigserial's own aside."""
    default = column.server_default
    if isinstance(default, DefaultClause) and isinstance(default.arg, TextClause):
        return default.arg.text
    return None


def is_serial(column: Column[object]) -> bool:
    """Whether the column numbers its rows itself."""
    return column.primary_key and isinstance(column.type, BigInteger)


def column_definition(column: Column[object]) -> str:
    """What follows the column's name in ``create table``."""
    default = column_default(column)
    return " ".join(
        filter(
            None,
            (
                "bigserial" if is_serial(column) else column_type(column),
                "primary key" if column.primary_key else "",
                "not null" if not column.nullable and not column.primary_key else "",
                f"default {default}" if default is not None else "",
            ),
        )
    )


def index_keys(index: Index) -> tuple[str, ...]:
    """The index's keys as they are written: ``("start_time desc",)``."""
    return tuple(
        key.text if isinstance(key, TextClause) else str(getattr(key, "name", key))
        for key in index.expressions
    )


def indexes(table: Table) -> list[Index]:
    """The table's indexes beside its primary key, in a steady order."""
    return sorted(table.indexes, key=lambda index: str(index.name))


def checks(table: Table) -> list[CheckConstraint]:
    """The table's check constraints, in a steady order."""
    found = [constraint for constraint in table.constraints if isinstance(constraint, CheckConstraint)]
    return sorted(found, key=lambda constraint: str(constraint.name))


def create_schema(contract: Contract) -> str:
    # "create schema if not exists" asks for the right to create schemas even where this one exists.
    name = ident(contract.schema)
    return do_block(
        f"begin\n    if to_regnamespace({literal(name)}) is null then\n"
        f"        create schema {name};\n    end if;\nend"
    )


def create_table(table: Table) -> str:
    columns = list(table.columns)
    definitions = [column_definition(column) for column in columns]
    name_width = max(len(column.name) for column in columns)
    width = max(len(definition) for definition in definitions) + 1
    lines = [
        f"    {ident(column.name):{name_width}} "
        f"{definition + (',' if column is not columns[-1] else ''):{width}} -- {column.comment}"
        for column, definition in zip(columns, definitions, strict=True)
    ]
    return "\n".join(
        (f"-- {table.comment}", f"create table if not exists {qualified(table)} (", *lines, ");")
    )


def is_optional(column: Column[object]) -> bool:
    """Whether seeder does without it where its owners leave it out."""
    return bool(column.info.get("optional"))


def add_optional_columns(table: Table) -> str:
    """Those that are missing; for a table that was made before the contract had them."""
    # "add column if not exists" is refused to whoever isn't the table's owner also where the column exists.
    steps = (
        f"""\
    if not exists (
        select from pg_attribute
        where attrelid = {literal(qualified(table))}::regclass
          and attname = {literal(column.name)} and not attisdropped
    ) then
        {add_column(column, table)}
    end if;"""
        for column in table.columns
        if is_optional(column)
    )
    return do_block("\n".join(("begin", *steps, "end")))


def add_column(column: Column[object], table: Table) -> str:
    return f"alter table {qualified(table)} add column {ident(column.name)} {column_definition(column)};"


def create_index(index: Index, table: Table) -> str:
    unique = "unique " if index.unique else ""
    return (
        f"create {unique}index if not exists {ident(str(index.name))} "
        f"on {qualified(table)} ({', '.join(index_keys(index))});"
    )


def add_check(constraint: CheckConstraint, table: Table) -> str:
    return (
        f"alter table {qualified(table)}\n"
        f"    add constraint {ident(str(constraint.name))} check ({constraint.sqltext});"
    )


def add_missing_checks(table: Table) -> str:
    # There is no "add constraint if not exists".
    steps = (
        f"""\
    if not exists (
        select from pg_constraint
        where conrelid = {literal(qualified(table))}::regclass
          and conname = {literal(str(constraint.name))}
    ) then
{textwrap.indent(add_check(constraint, table), " " * 8)}
    end if;"""
        for constraint in checks(table)
    )
    return do_block("\n".join(("begin", *steps, "end")))


def whole_table(table: Table) -> str:
    """The table with its checks and indexes; what is there already stays as it is."""
    return "\n".join(
        (
            create_table(table),
            *([add_optional_columns(table)] if any(map(is_optional, table.columns)) else []),
            *([add_missing_checks(table)] if checks(table) else []),
            *(create_index(index, table) for index in indexes(table)),
        )
    )
