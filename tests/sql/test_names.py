"""Names: what a table_name may be, and that a quoted name is stored as it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from support.emptied import fresh_database

from seeder.errors import NameRefused, PlaceholderRefused
from seeder.sql.names import MatviewName, matview_name, quoted, render_table_name, rendered_name_expression

NO_NUL = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
ANY_TEXT = st.text(NO_NUL)
IDENTIFIERS = st.text(NO_NUL, min_size=1, max_size=63).filter(lambda text: len(text.encode()) <= 63)


@pytest.fixture(scope="module")
def cursor(postgres_url: str) -> Iterator[Any]:
    """In one transaction, which is rolled back."""
    with fresh_database(postgres_url) as url:
        engine = create_engine(url)
        connection = engine.raw_connection()
        yield connection.cursor()
        connection.close()
        engine.dispose()


@given(name=IDENTIFIERS)
def test_a_table_made_under_a_quoted_name_has_exactly_that_name(cursor: Any, name: str) -> None:
    cursor.execute(f"create temporary table {quoted(name)} () on commit drop")
    cursor.execute("select relname from pg_class where relnamespace = pg_my_temp_schema()")
    stored = cursor.fetchone()[0]
    cursor.connection.rollback()
    assert stored == name


@given(schema=IDENTIFIERS, name=IDENTIFIERS)
def test_postgresql_reads_a_quoted_matview_name_back(cursor: Any, schema: str, name: str) -> None:
    cursor.execute("select parse_ident(%s)", [MatviewName(schema, name).quoted])
    assert cursor.fetchone()[0] == [schema, name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        ("a\x00b", "it holds a NUL character"),
        ("x" * 64, "it has 64 bytes, and PostgreSQL keeps only 63"),
        ("é" * 32, "it has 64 bytes, and PostgreSQL keeps only 63"),
    ],
)
def test_what_postgresql_cannot_store_is_not_quoted(name: str, reason: str) -> None:
    with pytest.raises(NameRefused) as refused:
        quoted(name)
    assert refused.value.facts["reason"] == reason


@pytest.mark.parametrize(
    ("table_name", "schema", "name"),
    [
        ("sales", "reporting", "sales"),
        ("app.sales", "app", "sales"),
        ("App.Sales_2024$", "App", "Sales_2024$"),
        ("_x", "reporting", "_x"),
        ("date", "reporting", "date"),
        ("x" * 63, "reporting", "x" * 63),
        ("app.pg_sales", "app", "pg_sales"),
    ],
)
def test_a_name_is_taken_as_written(table_name: str, schema: str, name: str) -> None:
    found = matview_name(table_name, "reporting")
    assert found == MatviewName(schema, name)
    assert str(found) == f"{schema}.{name}"


@pytest.mark.parametrize(
    ("table_name", "reason"),
    [
        ("", "it is empty"),
        ('"sales"', "it holds a quote; write the name without quotes, they are added"),
        ("o'brien", "it holds a quote; write the name without quotes, they are added"),
        ("db.app.sales", "it has 2 dots; write schema.name or name"),
        ("app.", "the part before or after the dot is empty"),
        (".sales", "the part before or after the dot is empty"),
        ("x" * 64, "it has 64 bytes, and PostgreSQL keeps only 63"),
        ("app." + "x" * 64, "it has 64 bytes, and PostgreSQL keeps only 63"),
        ("select", "'select' is a reserved word of SQL"),
        ("app.User", "'User' is a reserved word of SQL"),
        ("left", "'left' is a reserved word of SQL"),
        ("café", "'é' is not an ASCII character; use letters, digits, _ and $"),
        ("my sales", "it holds ' '; use letters, digits, _ and $"),
        ("my-sales", "it holds '-'; use letters, digits, _ and $"),
        ("sales\n", "it holds '\\n'; use letters, digits, _ and $"),
        ("a\x00", "it holds '\\x00'; use letters, digits, _ and $"),
        ("{agency_slug}_x", "it holds '{'; use letters, digits, _ and $"),
        ("2024_sales", "'2024_sales' begins with '2'; begin with a letter or _"),
        ("$x", "'$x' begins with '$'; begin with a letter or _"),
        ("pg_catalog.x", "the schema pg_catalog belongs to PostgreSQL itself"),
        ("PG_TEMP.x", "the schema PG_TEMP belongs to PostgreSQL itself"),
        ("information_schema.x", "the schema information_schema belongs to PostgreSQL itself"),
    ],
)
def test_a_name_that_would_surprise_is_refused_with_the_reason(table_name: str, reason: str) -> None:
    with pytest.raises(NameRefused) as refused:
        matview_name(table_name, "reporting")
    assert refused.value.facts == {"name": table_name, "reason": reason}


@given(table_name=st.from_regex(r"[A-Za-z_$0-9. é\"-]{1,12}", fullmatch=True) | ANY_TEXT)
def test_a_name_that_is_accepted_can_be_typed_without_quotes(cursor: Any, table_name: str) -> None:
    try:
        name = matview_name(table_name, "reporting").name
    except NameRefused:
        return
    cursor.execute(f"create temporary table {name} () on commit drop")
    cursor.execute("select relname from pg_class where relnamespace = pg_my_temp_schema()")
    stored = cursor.fetchone()[0]
    cursor.connection.rollback()
    assert stored == name.lower()


def test_the_gaps_of_a_table_name_are_filled() -> None:
    rendered = render_table_name(
        "{agency_slug}.sales_{agency_id}_{manifest_id}",
        agency_slug="Ünited-Air 2",
        agency_id=7,
        manifest_id=12,
    )
    assert rendered == "_nited_air_2.sales_7_12"


def test_only_ascii_letters_change_their_case_in_a_slug() -> None:
    # The Kelvin sign's lower case is k, that of İ is i and a dot.
    slug = "A\N{KELVIN SIGN}\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"
    assert render_table_name("{agency_slug}", agency_slug=slug, agency_id=1, manifest_id=1) == "a__"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("x_{agency}", "a table_name knows {agency_slug}, {agency_id}, {manifest_id}, and no other {…}"),
        ("x_{}", "a table_name knows {agency_slug}, {agency_id}, {manifest_id}, and no other {…}"),
        ("x_{agency_slug}", "the manifest has no agency_slug"),
        ("x_{agency_id}", "the manifest has no agency_id"),
    ],
)
def test_a_gap_that_cannot_be_filled_is_refused(template: str, reason: str) -> None:
    with pytest.raises(PlaceholderRefused) as refused:
        render_table_name(template, agency_slug=None, agency_id=None, manifest_id=1)
    assert refused.value.facts == {"placeholder": template.removeprefix("x_"), "reason": reason}


@given(
    template=st.lists(
        st.sampled_from(["{agency_slug}", "{agency_id}", "{manifest_id}", "x.", "{", "}", "K", "'"])
    ).map("".join),
    slug=st.text(NO_NUL) | st.text("aZ9_-\N{KELVIN SIGN}İſÉé{\\\n", min_size=1),
    agency_id=st.integers(-(2**31), 2**31 - 1),
    manifest_id=st.integers(-(2**31), 2**31 - 1),
)
def test_the_dashboards_expression_renders_the_same_name(
    cursor: Any, template: str, slug: str, agency_id: int, manifest_id: int
) -> None:
    try:
        ours = render_table_name(template, agency_slug=slug, agency_id=agency_id, manifest_id=manifest_id)
    except PlaceholderRefused:
        return
    # Under the column's own collation, lower() would change more than ASCII.
    expression = rendered_name_expression(
        "t", agency_slug='s collate "pg_c_utf8"', agency_id="a", manifest_id="m"
    )
    cursor.execute(
        f"select {expression} from (values (%s, %s, %s, %s)) as given (t, s, a, m)",
        [template, slug, agency_id, manifest_id],
    )
    assert cursor.fetchone()[0] == ours


def test_the_dashboards_expression_leaves_a_gap_without_a_value(cursor: Any) -> None:
    expression = rendered_name_expression("t", agency_slug="s", agency_id="a", manifest_id="m")
    cursor.execute(
        f"select {expression} from (values ('{{agency_slug}}_{{agency_id}}_{{x}}_{{manifest_id}}', "
        "cast(null as text), cast(null as int), 3)) as given (t, s, a, m)"
    )
    assert cursor.fetchone()[0] == "{agency_slug}_{agency_id}_{x}_3"
