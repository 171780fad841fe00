"""Stable functions of PostgreSQL's own whose results depend on nothing but arguments and settings.

A stable function may read tables, the clock or the catalogue (now(), obj_description, has_table_privilege).
These are stable because of settings such as TimeZone, DateStyle or lc_numeric, all of which are part of the
evidence (seeder.matviews.freshness.epoch), because they call the output function of any type, or because of
labels of enums, which are, too. By name, all overloads alike, as far as pg_proc calls them stable. Not among
them: what reads text as a date (its input may be 'now') or as a name in the catalogue, XML, and text search,
whose configurations can be altered although most of its functions call themselves immutable.
"""

_COMPARISONS = ("cmp", "eq", "ge", "gt", "le", "lt", "ne")
_MOMENTS = (("date", "timestamptz"), ("timestamp", "timestamptz"), ("timestamptz", "date"),
            ("timestamptz", "timestamp"))  # fmt: skip

SETTLED = frozenset(
    [
        *(f"{one}_{how}_{other}" for one, other in _MOMENTS for how in _COMPARISONS),
        "date", "date_add", "date_part", "date_subtract", "date_trunc", "extract", "generate_series",
        "in_range", "interval_pl_timestamptz", "make_timestamptz", "overlaps", "time", "timestamp",
        "timestamptz", "timestamptz_mi_interval", "timestamptz_pl_interval", "timetz", "timezone",
        "to_char", "to_date", "to_number", "to_timestamp",
        "money", "numeric",
        "anytextcat", "array_to_string", "concat", "concat_ws", "format", "quote_literal", "quote_nullable",
        "textanycat",
        "array_to_json", "json_agg", "json_agg_strict", "json_build_array", "json_build_object",
        "json_object_agg", "json_object_agg_strict", "json_object_agg_unique",
        "json_object_agg_unique_strict", "jsonb_agg", "jsonb_agg_strict", "jsonb_build_array",
        "jsonb_build_object", "jsonb_object_agg", "jsonb_object_agg_strict", "jsonb_object_agg_unique",
        "jsonb_object_agg_unique_strict", "row_to_json", "to_json", "to_jsonb",
        "enum_first", "enum_last", "enum_range",
    ]
)  # fmt: skip

#: Extensions of PostgreSQL's own in C, whose immutable functions are what they are called.
EXTENSIONS = frozenset(
    [
        "btree_gin", "btree_gist", "citext", "cube", "earthdistance", "fuzzystrmatch", "hstore", "intarray",
        "ltree", "pg_trgm", "pgcrypto", "seg", "uuid-ossp",
    ]
)  # fmt: skip

#: Nodes of a parsed query that are what their parts are, which are looked at. Some have another name from
#: PostgreSQL 16 on (CASE is CASEEXPR there). What isn't here is a reason: a clock (SQLVALUEFUNCTION), a
#: sequence (NEXTVALUEEXPR), a random sample (TABLESAMPLECLAUSE), XML, SQL/JSON, or unknown.
NODES = frozenset(
    [
        "AGGREF", "ALIAS", "ARRAY", "ARRAYCOERCEEXPR", "ARRAYEXPR", "BOOLEANTEST", "BOOLEXPR",
        "CASE", "CASEEXPR", "CASETESTEXPR", "CASEWHEN", "COALESCE", "COALESCEEXPR", "COERCETODOMAIN",
        "COERCETODOMAINVALUE", "COERCEVIAIO", "COLLATE", "COLLATEEXPR", "COMMONTABLEEXPR", "CONST",
        "CONVERTROWTYPEEXPR", "CTECYCLECLAUSE", "CTESEARCHCLAUSE", "DISTINCTEXPR", "FIELDSELECT", "FROMEXPR",
        "FUNCEXPR", "GROUPINGFUNC", "GROUPINGSET", "JOINEXPR", "MINMAX", "MINMAXEXPR", "NAMEDARGEXPR",
        "NULLIFEXPR", "NULLTEST", "OPEXPR", "PARAM", "QUERY", "RANGETBLENTRY", "RANGETBLFUNCTION",
        "RANGETBLREF", "RELABELTYPE", "ROW", "ROWCOMPARE", "ROWCOMPAREEXPR", "ROWEXPR", "RTE",
        "RTEPERMISSIONINFO", "SCALARARRAYOPEXPR", "SETOPERATIONSTMT", "SORTGROUPCLAUSE", "SUBLINK",
        "SUBSCRIPTINGREF", "TARGETENTRY", "VAR", "WHEN", "WINDOWCLAUSE", "WINDOWFUNC",
    ]
)  # fmt: skip

#: How a person knows the others.
NAMES = {
    "SQLVALUEFUNCTION": "CURRENT_DATE, CURRENT_TIMESTAMP, CURRENT_USER or the like",
    "NEXTVALUEEXPR": "a sequence",
    "TABLESAMPLECLAUSE": "TABLESAMPLE",
    "XMLEXPR": "XML",
    "TABLEFUNC": "XMLTABLE or JSON_TABLE",
}
