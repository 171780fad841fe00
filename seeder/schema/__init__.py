"""The contract's schema in a database: shown as SQL, applied on request, compared with what is there."""

from seeder.schema.applying import apply
from seeder.schema.checking import check
from seeder.schema.ddl import ddl
from seeder.schema.difference import Difference

__all__ = ["Difference", "apply", "check", "ddl"]
