"""The guard: a manifest's SQL is one statement that only reads, or is refused with a reason and a place.

The judge is PostgreSQL's own grammar (pglast, built on libpg_query), and the tree it gives is walked whole: a
kind of node that isn't known to belong to a SELECT is refused, so what a later grammar adds is refused until
someone has looked at it. The database is the second wall: a role of least privilege, time limits, a fixed
search_path.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pglast import parser
from pglast.parser import Token

from seeder.errors import Position
from seeder.sql.denied import is_denied
from seeder.sql.placeholders import RenderedQuery
from seeder.sql.tokens import refusal, scan

#: Every kind of node a SELECT's raw parse tree can be made of (PostgreSQL 18, src/backend/parser/gram.y).
_NODES = frozenset(
    """
    SelectStmt List String Integer Float Boolean BitString Alias
    WithClause CommonTableExpr CTESearchClause CTECycleClause
    ResTarget ColumnRef A_Star A_Const A_Expr A_ArrayExpr A_Indices A_Indirection SetToDefault
    FuncCall NamedArgExpr WindowDef TypeCast TypeName CollateClause RowExpr SubLink
    BoolExpr BooleanTest NullTest CaseExpr CaseWhen CoalesceExpr MinMaxExpr SQLValueFunction GroupingFunc
    RangeVar RangeSubselect RangeFunction RangeTableSample RangeTableFunc RangeTableFuncCol JoinExpr ColumnDef
    SortBy GroupingSet
    XmlExpr XmlSerialize
    JsonFormat JsonReturning JsonOutput JsonValueExpr JsonKeyValue JsonArgument JsonBehavior JsonFuncExpr
    JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor JsonAggConstructor JsonObjectAgg
    JsonArrayAgg JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonIsPredicate
    JsonTable JsonTableColumn JsonTablePathSpec
    """.split()
)
_INNER = frozenset((dict, list))
_TOO_DEEP = "it is nested too deeply"
#: Longer texts are judged each time, so that memory stays small.
_REMEMBERED = 16 * 1024


@dataclass(frozen=True, slots=True)
class SafeQuery:
    """SQL that passed the guard; `check` is the only maker of it.

    `text` can stand where a statement is wanted, as in ``create materialized view … as <text>``, and between
    parentheses: it has no semicolon and no comment at its end.
    """

    text: str
    fingerprint: str  #: 64 hexadecimal digits; equal for texts that differ in layout only
    rendered: RenderedQuery

    def source_position(self, offset: int) -> Position:
        """Where in the manifest's own text the character at `offset` of `text` comes from."""
        return self.rendered.source_position(offset)


def check(query: RenderedQuery) -> SafeQuery:
    """Accept exactly one SELECT, VALUES, TABLE or WITH … SELECT.

    Raises QueryRefused with a one-line reason and the position in the manifest's text.
    """
    return _check_once(query) if len(query.text) <= _REMEMBERED else _check(query)


def _check(query: RenderedQuery) -> SafeQuery:
    statement = _without_end(scan(query.text, query.source_position))
    if not statement:
        raise refusal("it is empty", query.source_position(0))
    for index, token in enumerate(statement):
        if token.name == "ASCII_59":
            after = statement[index + 1]
            raise refusal(
                "it goes on after a semicolon; one manifest is one statement",
                query.source_position(after.start),
            )
    text = query.text[: statement[-1].end + 1]
    _walk(query, text, statement)
    return SafeQuery(text, _fingerprint(text, statement), query)


#: A run comes with the SQL of the run before it: about 0.5 ms for a query of ten lines, of a refresh that may
#: take 2 ms.
_check_once = lru_cache(maxsize=1024)(_check)


def _without_end(tokens: list[Token]) -> list[Token]:
    end = len(tokens)
    while end and tokens[end - 1].name == "ASCII_59":
        end -= 1
    return tokens[:end]


def _fingerprint(text: str, statement: list[Token]) -> str:
    """A hash of the tokens, so of everything but white space, comments and the case that SQL ignores.

    Not pg_query's own fingerprint, which ignores constants, aliases and the order of columns; nor the tree,
    which would also call ``cast(a as int)`` and ``a::int4`` the same: a needless rebuild is cheaper than a
    missed one, and what counts as layout can be told in one sentence.
    """
    parts = []
    for token in statement:
        part = text[token.start : token.end + 1]
        if token.kind != "NO_KEYWORD" or (token.name == "IDENT" and part[0] != '"'):
            # Bytes, for only ASCII letters are folded in identifiers (scansup.c, downcase_identifier).
            part = part.lower() if part.isascii() else part.encode().lower().decode()
        parts.append(part)
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def _walk(query: RenderedQuery, text: str, statement: list[Token]) -> None:
    """Look at every node of the tree; raises QueryRefused for the first thing in the text that is wrong."""
    (kind, root), *_ = _parse(query, text).items()
    if kind != "SelectStmt":
        raise refusal(f"it is not a SELECT but {_words(kind)}", query.source_position(statement[0].start))
    refused: list[tuple[int, str]] = []  # each with its place, in bytes, as the tree counts
    pending: list[Any] = [root]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
            continue
        for key, child in value.items():
            if child.__class__ not in _INNER:
                continue
            if key == "FuncCall":
                name = [part["String"].get("sval", "") for part in child["funcname"]]
                if is_denied(name[-1]):
                    refused.append((_location(child), f"the function {'.'.join(name)} is not allowed"))
            elif (key[0].isupper() and key not in _NODES) or key == "intoClause":
                refused.append((_location(child), _reason(key, child)))
                continue
            elif key == "lockingClause":
                refused.append((_lock_location(text, statement), "FOR UPDATE and FOR SHARE lock rows"))
                continue
            pending.append(child)
    if refused:
        location, reason = min(refused)
        offset = len(text.encode()[:location].decode())
        raise refusal(reason, query.source_position(offset))


def _parse(query: RenderedQuery, text: str) -> dict[str, Any]:
    # The tree as JSON, not as pglast's objects: building those overflows the C stack on deep trees, which
    # kills the worker (pglast 8.8: 20,000 UNIONs, or 3,000 additions in a thread of 512 KiB), and takes 20
    # times as long.
    try:
        tree = json.loads(parser.parse_sql_json(text))
    except parser.ParseError as error:
        message, offset = error.args if len(error.args) > 1 else (error.args[0], None)
        where = query.source_position(len(text) if offset is None else offset)
        raise refusal(_parse_reason(str(message)), where) from None
    except RecursionError:
        raise refusal(_TOO_DEEP, query.source_position(0)) from None
    root: dict[str, Any] = tree["stmts"][0]["stmt"]
    return root


def _parse_reason(message: str) -> str:
    if message.startswith(("memory exhausted", "stack depth")):
        return _TOO_DEEP
    what, near, text = message.partition(" at or near ")
    if len(text) > 80:
        text = f'{text[:76]}…"'
    hint = ""
    if text == '":"':
        hint = "; inside [ ] and JSON_OBJECT( ) put a placeholder in parentheses, (:agency_id)"
    return f"{what}{near}{text}{hint}"


def _reason(kind: str, node: dict[str, Any]) -> str:
    if kind == "intoClause":
        return "SELECT INTO would make a table"
    if kind == "ParamRef":
        return f"nothing fills ${node.get('number', 0)}; the placeholders are named, as in :agency_id"
    if kind in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
        return f"{_words(kind)} inside WITH changes data"
    return f"it holds {_words(kind)}, which no report is known to need"


def _location(node: dict[str, Any]) -> int:
    """Where a node begins: its own location, else the first one inside it."""
    if "location" in node:
        return int(node["location"])
    return min((int(found) for found in re.findall(r'"location": (\d+)', json.dumps(node))), default=0)


def _lock_location(text: str, statement: list[Token]) -> int:
    # The tree doesn't say where a lock clause is.
    offset = next(
        token.start
        for token, after in pairwise(statement)
        if token.name == "FOR" and after.name in ("UPDATE", "SHARE", "NO", "KEY")
    )
    return len(text[:offset].encode())


def _words(kind: str) -> str:
    """``DeleteStmt`` as a person reads it: DELETE; ``CreateTableAsStmt``: CREATE TABLE AS."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.removesuffix("Stmt")).upper()
