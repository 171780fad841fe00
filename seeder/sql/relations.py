"""The relations and functions that a query names, by PostgreSQL's own grammar.

A table that isn't there yet can be named already, so what reads it is known before it can be asked for.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import parser

#: As in the text: the schema where one is written, and the name.
Named = tuple[str | None, str]

#: Longer texts are read each time, so that memory stays small.
_REMEMBERED = 16 * 1024

#: The names that stand for the queries of a WITH.
_Hidden = frozenset[str]


@dataclass(frozen=True, slots=True)
class Names:
    """What a query names, of whatever kind and wherever in it."""

    relations: frozenset[Named] = frozenset()
    functions: frozenset[Named] = frozenset()


NOTHING = Names()


def names_in(text: str) -> Names:
    """Of one statement whose placeholders are filled in; nothing of a text that PostgreSQL can't parse."""
    return _names_once(text) if len(text) <= _REMEMBERED else _names(text)


def _names(text: str) -> Names:
    try:
        # As JSON, for the guard's reasons (seeder.sql.guard).
        tree = json.loads(parser.parse_sql_json(text))
    except (parser.ParseError, RecursionError, UnicodeError, ValueError):
        # Its run says what is wrong with it.
        return NOTHING
    relations: set[Named] = set()
    functions: set[Named] = set()
    for kind, node, hidden in _nodes(tree):
        if kind == "RangeVar":
            schema, name = node.get("schemaname"), node["relname"]
            if schema is not None or name not in hidden:
                relations.add((schema, name))
        elif kind == "FuncCall":
            parts = [part["String"].get("sval", "") for part in node["funcname"]]
            functions.add((parts[-2] if len(parts) > 1 else None, parts[-1]))
    return Names(frozenset(relations), frozenset(functions))


_names_once = lru_cache(maxsize=1024)(_names)


def _nodes(tree: Any) -> Iterator[tuple[str, dict[str, Any], _Hidden]]:
    """Every node at any depth, with its kind and the names that are hidden there by a WITH's."""
    nothing: _Hidden = frozenset()
    pending: list[tuple[Any, _Hidden]] = [(tree, nothing)]
    while pending:
        value, hidden = pending.pop()
        if isinstance(value, list):
            pending += ((one, hidden) for one in value)
        elif isinstance(value, dict):
            clause = value.get("withClause")
            if clause:
                queries, hidden = _within(clause, hidden)
                pending += queries
            for key, child in value.items():
                if child is clause:
                    continue
                if isinstance(child, dict):
                    yield key, child, hidden
                pending.append((child, hidden))


def _within(clause: dict[str, Any], hidden: _Hidden) -> tuple[list[tuple[Any, _Hidden]], _Hidden]:
    """The queries of a WITH, each with the names that are hidden in it, and those hidden in what follows.

    Each sees those before it, and with RECURSIVE all: in ``with a as (select … from a)`` the second is a
    table (https://www.postgresql.org/docs/current/sql-select.html#SQL-WITH).
    """
    queries = [one["CommonTableExpr"] for one in clause["ctes"]]
    after = hidden | {one["ctename"] for one in queries}
    if clause.get("recursive"):
        return [(one, after) for one in queries], after
    pairs = []
    for one in queries:
        pairs.append((one, hidden))
        hidden |= {one["ctename"]}
    return pairs, after
