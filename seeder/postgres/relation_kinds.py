"""What pg_class.relkind stands for (https://www.postgresql.org/docs/current/catalog-pg-class.html)."""

KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
    "i": "index",
    "I": "partitioned index",
    "c": "composite type",
    "t": "TOAST table",
}


def kind_of_relation(relkind: str | None) -> str:
    """In words; ``relation`` for a kind that a later PostgreSQL has added."""
    return KINDS.get(relkind or "", "relation")
