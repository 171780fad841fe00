"""Compares one table of the contract with the one that exists."""

from collections.abc import Iterator

from sqlalchemy import Column, Connection, Table

from seeder.schema.catalogue import LiveColumn, LiveIndex, LiveTable
from seeder.schema.dashboard import VIEW
from seeder.schema.difference import Difference, where
from seeder.schema.words import word_differences
from seeder.schema.writing import (
    add_column,
    checks,
    column_default,
    column_type,
    create_index,
    ident,
    index_keys,
    indexes,
    is_optional,
    is_serial,
    literal,
    qualified,
    whole_table,
)

#: What may stand for the contract's type without a value ever being refused or changed.
_WIDER = {"text": {"character varying"}, "integer": {"bigint"}}

#: The inputs' types are their owners' affair, as long as Python reads the same from them.
_READS_AS = {"text": "S", "boolean": "B"}
_INTEGERS = {"smallint", "integer", "bigint"}

#: How PostgreSQL spells defaults that do the same.
_SAME_DEFAULT = {
    "now()": {"now()", "CURRENT_TIMESTAMP", "transaction_timestamp()"},
    "0": {"0", "'0'::integer", "'0'::bigint", "(0)::bigint"},
    "true": {"true"},
}


def input_differences(wanted: Table, live: LiveTable | None) -> Iterator[Difference]:
    """What keeps seeder from reading the table's rows; keys, defaults and the rest are its owners' affair."""
    if live is None:
        yield _missing_table(wanted)
        return
    if not live.holds_rows:
        yield _other_kind(wanted, live)
        return
    for column in wanted.columns:
        found = live.columns.get(column.name)
        expected = column_type(column)
        if found is None:
            yield _missing_column(wanted, column)
        elif (expected == "integer" and found.type not in _INTEGERS) or (
            expected != "integer" and found.category != _READS_AS[expected]
        ):
            yield _other_type(wanted, column, found)


def output_differences(connection: Connection, wanted: Table, live: LiveTable | None) -> Iterator[Difference]:
    """Everything in which the table that seeder writes is not the contract's."""
    if live is None:
        yield _missing_table(wanted)
        return
    if live.kind not in ("table", "partitioned table"):
        yield _other_kind(wanted, live)
        return
    for column in wanted.columns:
        found = live.columns.get(column.name)
        if found is None and is_optional(column):
            yield _missing_optional_column(wanted, column)
        elif found is None:
            yield _missing_column(wanted, column)
        else:
            yield from _column_differences(wanted, column, found)
    for name, found in live.columns.items():
        if name not in wanted.columns and found.not_null and not _fills_itself(found):
            yield Difference(
                where(wanted, name),
                "seeder doesn't know the column, which is not null and has no default",
                _alter(wanted, name, "drop not null"),
            )
    yield from _key_differences(wanted, live)
    yield from _index_differences(wanted, live)
    for constraint in checks(wanted):
        yield from word_differences(connection, wanted, live, constraint)


def _column_differences(wanted: Table, column: Column[object], live: LiveColumn) -> Iterator[Difference]:
    place = where(wanted, column.name)
    if live.type != column_type(column):
        yield _other_type(wanted, column, live)
    if column.primary_key:
        if is_serial(column) and not live.numbers_itself:
            yield Difference(place, "the column does not number its rows", _number_rows(wanted, column))
        return
    if live.not_null and column.nullable:
        yield Difference(
            place,
            "the column is not null, but seeder leaves it empty where there is nothing to say",
            _alter(wanted, column.name, "drop not null"),
        )
    if not live.not_null and not column.nullable:
        yield Difference(
            place,
            "the column is nullable (seeder works with it)",
            _alter(wanted, column.name, "set not null"),
        )
    default = column_default(column)
    if default is None and live.default is not None:
        dropped = "expression" if live.generated else "default"
        yield Difference(
            place,
            f"the column has the {dropped} {live.default}, and the contract has none",
            _alter(wanted, column.name, f"drop {dropped}"),
        )
    if default is not None and live.default not in _SAME_DEFAULT[default]:
        what = f"the default is {live.default}" if live.default else "the default is missing"
        yield Difference(
            place,
            f"{what}; the contract says {default}",
            _alter(wanted, column.name, f"set default {default}"),
        )


def _key_differences(wanted: Table, live: LiveTable) -> Iterator[Difference]:
    key = tuple(column.name for column in wanted.primary_key.columns)
    found = next((index for index in live.indexes if index.primary), None)
    if any(column not in live.columns for column in key) or (found and found.keys == key):
        return
    columns = ", ".join(key)
    dropped = f"alter table {qualified(wanted)} drop constraint {ident(found.name)};\n" if found else ""
    yield Difference(
        where(wanted),
        f"the primary key is ({', '.join(found.keys)}), not ({columns})"
        if found
        else f"the primary key ({columns}) is missing",
        f"{dropped}alter table {qualified(wanted)} add primary key ({columns});",
    )


def _index_differences(wanted: Table, live: LiveTable) -> Iterator[Difference]:
    unique_keys = {tuple(column.name for column in wanted.primary_key.columns)}
    for index in indexes(wanted):
        keys = index_keys(index)
        if index.unique:
            unique_keys.add(keys)
        if any(one.usable and one.keys == keys and (one.unique or not index.unique) for one in live.indexes):
            continue
        in_the_way = next((one for one in live.indexes if one.name == index.name), None)
        dropped = f"{_drop_index(wanted, in_the_way)}\n" if in_the_way else ""
        kind = "unique index" if index.unique else "index"
        yield Difference(
            where(wanted),
            f"the {kind} on ({', '.join(keys)}) is missing",
            dropped + create_index(index, wanted),
        )
    for one in live.indexes:
        # Unique together with a column that is unique anyway says nothing more.
        if one.unique and not one.primary and not any(set(keys) <= set(one.keys) for keys in unique_keys):
            yield Difference(
                where(wanted),
                f"the unique index {one.name} on ({', '.join(one.keys)}) refuses what the contract allows",
                _drop_index(wanted, one),
            )


def _missing_table(wanted: Table) -> Difference:
    return Difference(where(wanted), "the table is missing", whole_table(wanted))


def _other_kind(wanted: Table, live: LiveTable) -> Difference:
    return Difference(
        where(wanted),
        f"this is a {live.kind}, not a table",
        f"{move_away(qualified(wanted), wanted.name, live.kind)}\n{whole_table(wanted)}",
    )


def move_away(quoted_name: str, name: str, kind: str) -> str:
    """SQL that gives a relation of any kind another name, so that its own is free."""
    # ALTER TABLE renames every kind of relation but types.
    verb = "alter type" if kind == "composite type" else "alter table"
    return f"{verb} {quoted_name} rename to {ident(f'{name}_before')};"


def _missing_column(wanted: Table, column: Column[object]) -> Difference:
    return Difference(
        where(wanted, column.name),
        "the column is missing",
        add_column(column, wanted),
    )


def _missing_optional_column(wanted: Table, column: Column[object]) -> Difference:
    return Difference(
        where(wanted, column.name),
        f"the optional column is missing (seeder works without it): {column.info['optional']}",
        add_column(column, wanted),
        failure=False,
    )


def _other_type(wanted: Table, column: Column[object], live: LiveColumn) -> Difference:
    expected = column_type(column)
    works = " (seeder works with it)" if live.type in _WIDER.get(expected, ()) else ""
    # PostgreSQL alters no column that a view uses; `seeder schema apply` makes the view again.
    freed = f"drop view {ident(str(wanted.schema))}.{VIEW};\n" if live.in_view else ""
    name = ident(column.name)
    return Difference(
        where(wanted, column.name),
        f"the type is {live.type}{works}, not {expected}",
        freed + _alter(wanted, column.name, f"type {expected} using {name}::{expected}"),
    )


def _number_rows(wanted: Table, column: Column[object]) -> str:
    table, name = qualified(wanted), ident(column.name)
    return (
        f"alter table {table} alter column {name} add generated by default as identity;\n"
        f"select setval(pg_get_serial_sequence({literal(table)}, {literal(column.name)}), "
        f"coalesce(max({name}), 0) + 1, false) from {table};"
    )


def _fills_itself(column: LiveColumn) -> bool:
    return column.default is not None or column.numbers_itself or column.generated


def _alter(wanted: Table, column: str, how: str) -> str:
    return f"alter table {qualified(wanted)} alter column {ident(column)} {how};"


def _drop_index(wanted: Table, index: LiveIndex) -> str:
    if index.of_constraint:
        return f"alter table {qualified(wanted)} drop constraint {ident(index.name)};"
    return f"drop index {ident(str(wanted.schema))}.{ident(index.name)};"
