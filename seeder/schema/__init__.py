"""The contract's schema in a database: shown as SQL, applied on request, compared with what is there."""

from seeder.schema.applying import apply
from seeder.schema.ddl import ddl

__all__ = ["apply", "ddl"]
