"""Names without a schema in the body of a PL/pgSQL function, which depend on its search_path at run time.

PostgreSQL looks at the statements of such a body only when they are reached, so reading them is all that can
be done beforehand. pglast has PostgreSQL's own parser for the language, and the one for the SQL in it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pglast import parser

#: libpg_query's parseMode of an expression's text (parser.h, RawParseMode): SQL, an expression, assignments.
_SQL, _EXPRESSION, _ASSIGNMENTS = 0, 2, (3, 4, 5)
_ASSIGNED = re.compile(r":?=")


@dataclass(frozen=True)
class Unqualified:
    """What a body names without a schema, each sorted, and whether it runs SQL that is made at run time."""

    relations: tuple[str, ...]
    functions: tuple[str, ...]
    dynamic: bool


def unqualified(definition: str) -> Unqualified | None:
    """For a ``CREATE FUNCTION … LANGUAGE plpgsql``; None where it can't be read."""
    try:
        tree = json.loads(parser.parse_plpgsql_json(definition))
        statements = [json.loads(parser.parse_sql_json(text)) for text in _texts(tree)]
    except (parser.ParseError, RecursionError):
        return None
    relations: set[str] = set()
    functions: set[str] = set()
    with_queries: set[str] = set()
    for statement in statements:
        for kind, node in _nodes(statement):
            if kind == "RangeVar" and "schemaname" not in node:
                relations.add(node["relname"])
            elif kind == "CommonTableExpr":
                with_queries.add(node["ctename"])
            elif kind == "FuncCall" and len(node["funcname"]) == 1:
                functions.add(node["funcname"][0]["String"]["sval"])
    dynamic = any(kind.startswith("PLpgSQL_stmt_dyn") for kind, _ in _nodes(tree))
    return Unqualified(tuple(sorted(relations - with_queries)), tuple(sorted(functions)), dynamic)


def _texts(tree: Any) -> Iterator[str]:
    """The SQL in a body, as whole statements."""
    for kind, node in _nodes(tree):
        if kind != "PLpgSQL_expr":
            continue
        query, mode = str(node["query"]), node.get("parseMode", _SQL)
        if mode in _ASSIGNMENTS:
            query = _ASSIGNED.split(query, maxsplit=1)[-1]
        yield query if mode == _SQL else f"select {query}"


def _nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every node with its kind, at any depth."""
    pending = [tree]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            for key, child in value.items():
                if isinstance(child, dict):
                    yield key, child
                pending.append(child)
