"""Names of matviews, and quoting, which is the only way for an identifier to get into a statement.

A name is taken as written, case included, because it is always quoted. What would surprise whoever types it
unquoted in psql (spaces, dots, reserved words, letters that look alike) is refused with the reason.
"""

import re
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from pglast.keywords import RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

from seeder.errors import NameRefused, PlaceholderRefused

#: NAMEDATALEN - 1: a longer name is cut by PostgreSQL, with a NOTICE only, and then names another table.
LONGEST_IDENTIFIER = 63

#: What can't be a table's name without quotes (gram.y: ColId leaves these two groups out).
_RESERVED = frozenset(RESERVED_KEYWORDS) | frozenset(TYPE_FUNC_NAME_KEYWORDS)
_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_GAP = re.compile(r"\{([^{}]*)\}")


def quoted(identifier: str) -> str:
    """The identifier between double quotes, the quotes in it doubled.

    Raises NameRefused for what PostgreSQL can't store as a name: nothing, a NUL, more than 63 bytes.
    """
    if not identifier:
        raise NameRefused(name=identifier, reason="it is empty")
    if "\x00" in identifier:
        raise NameRefused(name=identifier, reason="it holds a NUL character")
    length = len(identifier.encode())
    if length > LONGEST_IDENTIFIER:
        raise NameRefused(name=identifier, reason=_too_long(length))
    return '"' + identifier.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class MatviewName:
    """A matview's schema and name, each as the catalogue stores it."""

    schema: str
    name: str

    @property
    def quoted(self) -> str:
        """For a statement: ``"reporting"."sales"``."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def matview_name(table_name: str, default_schema: str) -> MatviewName:
    """Read a manifest's ``table_name``: ``schema.name``, or a bare name, which belongs to `default_schema`.

    Raises NameRefused with the exact reason.
    """

    def refuse(reason: str) -> NameRefused:
        return NameRefused(name=table_name, reason=reason)

    if not table_name:
        raise refuse("it is empty")
    if '"' in table_name or "'" in table_name:
        raise refuse("it holds a quote; write the name without quotes, they are added")
    parts = table_name.split(".")
    if len(parts) > 2:
        raise refuse(f"it has {len(parts) - 1} dots; write schema.name or name")
    for part in parts:
        if reason := _refusal(part):
            raise refuse(reason)
    schema, name = parts if len(parts) == 2 else (default_schema, table_name)
    if schema.lower().startswith("pg_") or schema.lower() == "information_schema":
        raise refuse(f"the schema {schema} belongs to PostgreSQL itself")
    return MatviewName(schema, name)


def _refusal(part: str) -> str | None:
    """Why one part of a name can't be used, or None."""
    if not part:
        return "the part before or after the dot is empty"
    if not part.isascii():
        stranger = next(c for c in part if not c.isascii())
        return f"{stranger!r} is not an ASCII character; use letters, digits, _ and $"
    if stranger := re.sub(r"[A-Za-z0-9_$]", "", part)[:1]:
        return f"it holds {stranger!r}; use letters, digits, _ and $"
    if not re.match(r"[A-Za-z_]", part):
        return f"{part!r} begins with {part[0]!r}; begin with a letter or _"
    if len(part) > LONGEST_IDENTIFIER:
        return _too_long(len(part))
    if part.lower() in _RESERVED:
        return f"{part!r} is a reserved word of SQL"
    return None


def _too_long(length: int) -> str:
    return f"it has {length} bytes, and PostgreSQL keeps only {LONGEST_IDENTIFIER}"


def render_table_name(
    template: str, *, agency_slug: str | None, agency_id: int | None, manifest_id: int
) -> str:
    """Fill ``{agency_slug}``, ``{agency_id}`` and ``{manifest_id}`` in a ``table_name``.

    The slug becomes part of an identifier: ASCII letters in lower case, every character outside ``a-z0-9_``
    an underscore. Two slugs can meet in one name (``a-b``, ``a_b``): then two manifests share a table.
    Raises PlaceholderRefused for any other ``{…}``, or one whose value the manifest lacks.
    """
    values = {"agency_slug": agency_slug, "agency_id": agency_id, "manifest_id": manifest_id}

    def fill(gap: re.Match[str]) -> str:
        name = gap[1]
        if name not in values:
            known = ", ".join(f"{{{key}}}" for key in values)
            raise PlaceholderRefused(
                placeholder=gap[0], reason=f"a table_name knows {known}, and no other {{…}}"
            )
        value = values[name]
        if value is None:
            raise PlaceholderRefused(placeholder=gap[0], reason=f"the manifest has no {name}")
        return _identifier_part(value) if isinstance(value, str) else str(value)

    return _GAP.sub(fill, template)


def folded(text: str) -> str:
    """An unquoted identifier as PostgreSQL stores it: ASCII letters in lower case.

    Only ASCII's, as lower() does under the collation "C"; str.lower() would make a k of the Kelvin sign and
    two characters of İ.
    """
    return text.translate(_ASCII_LOWER)


def _identifier_part(text: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", folded(text))


def rendered_name_expression(template: str, *, agency_slug: str, agency_id: str, manifest_id: str) -> str:
    """What `render_table_name` does, as a SQL expression over four SQL expressions (columns).

    For the dashboard view, which must find the status row of a manifest by its rendered name. A ``{…}`` that
    `render_table_name` refuses (an unknown one, a NULL value) stays as it is.
    """
    slug = f"regexp_replace(lower({agency_slug} collate \"C\"), '[^a-z0-9_]' collate \"C\", '_', 'g')"
    gaps = (
        ("{agency_slug}", slug),
        ("{agency_id}", f"cast({agency_id} as text)"),
        ("{manifest_id}", f"cast({manifest_id} as text)"),
    )
    expression = template
    for gap, value in gaps:
        expression = f"replace({expression}, '{gap}', coalesce({value}, '{gap}'))"
    return expression
