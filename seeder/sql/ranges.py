"""Constants that PostgreSQL finds out of range only in executing: LIMIT and OFFSET below zero, and a sample
of no percentage (nodeLimit.c, recompute_limits; tablesample/system.c and bernoulli.c). Planning takes any.

A part of a query that is never reached may hold them without harm; nobody means that.
"""

import json
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from pglast import parser

#: Clause of a SELECT → SQLSTATE and PostgreSQL's words for a number below zero.
_CLAUSES = {
    "limitCount": ("2201W", "LIMIT must not be negative"),
    "limitOffset": ("2201X", "OFFSET must not be negative"),
}
_SAMPLE = ("2202H", "sample percentage must be between 0 and 100")
#: The methods that PostgreSQL brings; an extension's count otherwise.
_METHODS = ("system", "bernoulli")
#: Rounded, as PostgreSQL does, it is 0.
_STILL_NONE = Decimal("-0.5")


@dataclass(frozen=True)
class OutOfRange:
    """What PostgreSQL would say, and at which character of the text the number stands."""

    sqlstate: str
    message: str
    offset: int


def out_of_range(text: str) -> OutOfRange | None:
    """The first such constant of a query that the guard has accepted."""
    found: list[OutOfRange] = []
    pending: list[Any] = [json.loads(parser.parse_sql_json(text))]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            found += _wrong_in(value)
            pending += value.values()
    if not found:
        return None
    first = min(found, key=lambda one: one.offset)
    # The tree counts bytes.
    return replace(first, offset=len(text.encode()[: first.offset].decode()))


def _wrong_in(node: dict[str, Any]) -> list[OutOfRange]:
    wrong = []
    for clause, error in _CLAUSES.items():
        number = _number(node.get(clause))
        if number is not None and number <= _STILL_NONE:
            wrong.append(OutOfRange(*error, _location(node[clause])))
    sample = node.get("RangeTableSample")
    if sample and sample["method"][-1]["String"]["sval"] in _METHODS:
        for argument in sample.get("args", ()):
            number = _number(argument)
            if number is not None and not 0 <= number <= 100:
                wrong.append(OutOfRange(*_SAMPLE, _location(argument)))
    return wrong


def _number(node: Any) -> Decimal | None:
    """The value of a constant with a sign or a cast; None of what isn't one, or is no number."""
    ((kind, inner),) = node.items() if node else [("", {})]
    if kind == "TypeCast":
        return _number(inner["arg"])
    if kind == "A_Expr" and "lexpr" not in inner and inner["name"][-1]["String"]["sval"] == "-":
        number = _number(inner["rexpr"])
        return None if number is None else -number
    if kind != "A_Const" or inner.get("isnull"):
        return None
    if "ival" in inner:
        # 0 is left out.
        return Decimal(inner["ival"].get("ival", 0))
    written = inner.get("fval", {}).get("fval") or inner.get("sval", {}).get("sval")
    try:
        number = Decimal((written or "").strip())
    except InvalidOperation:
        # PostgreSQL refuses it in reading, or it is a hexadecimal one, or 1_000.
        return None
    return number if number.is_finite() else None


def _location(node: dict[str, Any]) -> int:
    (inner,) = node.values()
    return int(inner.get("location", 0))
