"""Functions of known extensions that a query may call only if SEEDER_ALLOWED_FUNCTIONS names them.

Volatile functions outside pg_catalog are refused anyway (seeder/matviews/query/functions.py). These aren't
volatile, but run SQL that they are given as text, read what a text names, or change the session. Known are
all contrib modules of PostgreSQL 15 and 18, and pgvector; a test compares both lists with every extension of
these servers. docs/decisions/sql-as-text.md says how functions of other extensions are judged.
"""

#: Extension → those of its functions.
_REFUSED = {
    "tablefunc": "connectby crosstab crosstab2 crosstab3 crosstab4",
    "xml2": "xpath_table",
    # On PostgreSQL 15 it is IMMUTABLE, by its label, and sets what the session takes for a valid number.
    "isn": "isn_weak",
}

#: ``extension.function``; in any schema, for extensions can be put into any.
REFUSED = frozenset(f"{name}.{one}" for name, functions in _REFUSED.items() for one in functions.split())

KNOWN = frozenset(
    """
    adminpack amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn earthdistance
    file_fdw fuzzystrmatch hstore insert_username intagg intarray isn lo ltree moddatetime old_snapshot
    pageinspect pg_buffercache pg_freespacemap pg_logicalinspect pg_overexplain pg_prewarm pg_stat_statements
    pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto pgrowlocks pgstattuple plpgsql postgres_fdw refint
    seg sslinfo tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp vector xml2
    """.split()
)
