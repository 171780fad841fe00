"""Prepared statements: each connection parses and plans the record's statements once.

Planning them takes longer than executing them (0.6 against 0.3 ms, PostgreSQL 18).

psycopg2 has no prepared statements of its own, so SQL's PREPARE and EXECUTE do it
(https://www.postgresql.org/docs/current/sql-prepare.html). They live as long as the connection, and so don't
go with a pooler in transaction mode; nor do session-level advisory locks.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

#: What is prepared is looked up by keys; a plan for each value would be the same plan. Never for longer than
#: the call: a manifest's functions plan their statements as they do in psql.
GENERIC_PLANS = "set local plan_cache_mode = force_generic_plan;\n"

_VALUE = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Prepared:
    """Statements in psycopg2's ``%(name)s`` style, sent together: one round trip, one transaction.

    ``first`` is sent as it is, before them; it is for what can't be prepared, such as SET.
    """

    name: str
    statements: tuple[str, ...]
    first: str = ""

    @cached_property
    def preparations(self) -> dict[str, str]:
        """Name → PREPARE for each of them, to be executed once per connection."""
        return {name: f"prepare {name} as {_numbered(statement)}" for name, statement in self._named}

    @cached_property
    def call(self) -> str:
        """EXECUTE for each of them, with psycopg2's placeholders for the values."""
        return (
            GENERIC_PLANS
            + self.first
            + ";\n".join(
                f"execute {name}({', '.join(f'%({value})s' for value in _values(statement))})"
                if _values(statement)
                else f"execute {name}"
                for name, statement in self._named
            )
        )

    @property
    def _named(self) -> list[tuple[str, str]]:
        # One name never means two statements on a connection: a start is read beside this query or that.
        return [(f"seeder_{self.name}_{_short_hash(text)}", text) for text in self.statements]


def _values(statement: str) -> list[str]:
    """The names of its values, each once, in the order they come in."""
    return list(dict.fromkeys(_VALUE.findall(statement)))


def _short_hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _numbered(statement: str) -> str:
    numbers = {name: f"${number}" for number, name in enumerate(_values(statement), 1)}
    return _VALUE.sub(lambda found: numbers[found[1]], statement)
