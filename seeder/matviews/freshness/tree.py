"""A parsed query as PostgreSQL stores it (pg_rewrite.ev_action, pg_proc.prosqlbody), read for what it uses.

PostgreSQL prints its nodes as ``{OPEXPR :opno 521 :opfuncid 147 … }``. In a name or a string every space,
brace and parenthesis has a backslash before it (outfuncs.c, outToken), and constants are printed as bytes, so
nothing that a person wrote can look like a node or a field.
"""

import re
from dataclasses import dataclass
from functools import reduce

_NODE = re.compile(r"(?<!\\)\{([A-Z_0-9]+)")
_FUNCTION = re.compile(r":(?:funcid|opfuncid|aggfnoid|winfnoid|hashfuncid|negfuncid|\w*InRangeFunc) (\d+)")
_OPERATOR = re.compile(r":(?:opno|eqop|sortop|ltop) (\d+)")
_OPERATORS = re.compile(r":(?:opnos|\w*[oO]ps|\w*[oO]perators) \(o ([\d ]+)\)")
_TYPE = re.compile(r":\w*(?:type|type_?id|typeId|Type) (\d+)")
_TYPES = re.compile(r":\w*[tT]ypes \(o ([\d ]+)\)")
_RELATION = re.compile(r":relid (\d+)")
#: COERCEVIAIO alone has these three in a row.
_READ_FROM_TEXT = re.compile(r":resulttype (\d+) :resultcollid \d+ :coerceformat")
_SYSTEM_COLUMN = re.compile(r":varattno -(?!6 )\d+ ")


@dataclass(frozen=True)
class Used:
    """Oids of what a query uses; 0, which is nothing, may be among them."""

    nodes: frozenset[str] = frozenset()
    functions: frozenset[int] = frozenset()
    operators: frozenset[int] = frozenset()
    types: frozenset[int] = frozenset()
    relations: frozenset[int] = frozenset()
    #: Types that something is converted to by way of text.
    converted: frozenset[int] = frozenset()
    #: A column that the system keeps: ctid, xmin, xmax, but not tableoid.
    system_column: bool = False

    def __or__(self, other: "Used") -> "Used":
        return Used(
            self.nodes | other.nodes,
            self.functions | other.functions,
            self.operators | other.operators,
            self.types | other.types,
            self.relations | other.relations,
            self.converted | other.converted,
            self.system_column or other.system_column,
        )


def used(trees: list[str]) -> Used:
    return reduce(Used.__or__, map(_used, trees), Used())


def _used(tree: str) -> Used:
    return Used(
        frozenset(_NODE.findall(tree)),
        _oids(_FUNCTION, tree),
        _oids(_OPERATOR, tree) | _lists(_OPERATORS, tree),
        _oids(_TYPE, tree) | _lists(_TYPES, tree),
        _oids(_RELATION, tree),
        _oids(_READ_FROM_TEXT, tree),
        _SYSTEM_COLUMN.search(tree) is not None,
    )


def _oids(pattern: re.Pattern[str], tree: str) -> frozenset[int]:
    return frozenset(map(int, pattern.findall(tree)))


def _lists(pattern: re.Pattern[str], tree: str) -> frozenset[int]:
    return frozenset(int(oid) for oids in pattern.findall(tree) for oid in oids.split())
