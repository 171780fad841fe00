"""Settings: what is read from the environment, and what is refused by its name and without its value."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from seeder.config.settings import (
    LONGEST_HISTORY_DAYS,
    OnQueryChange,
    RefreshMode,
    Settings,
    current_settings,
    load_settings,
    variable_name,
)
from seeder.config.types import LONGEST_SECONDS
from seeder.config.unknown import unknown_variables
from seeder.errors import BadSetting

UNITS = {"": 1, "ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
SPACES = st.sampled_from(["", " ", "\t "])


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)
    monkeypatch.chdir(tmp_path)
    current_settings.cache_clear()
    yield
    current_settings.cache_clear()


def refused(**setting: Any) -> str:
    with pytest.raises(BadSetting) as error:
        load_settings(**setting)
    return str(error.value)


# --- where they come from --------------------------------------------------------------------------------


def test_nothing_need_be_set() -> None:
    found = load_settings()
    assert (found.database_url, found.broker_url, found.databases) == (None, None, {})
    assert (found.db_schema, found.refresh_mode) == ("reporting", RefreshMode.AUTO)
    assert (found.schedule, found.timezone) == ("0 2 * * *", "UTC")


def test_the_environment_wins_over_the_file_and_empty_is_unset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("SEEDER_MAX_RETRIES=7\nSEEDER_TIMEZONE=Europe/Berlin\nSEEDER_SCHEMA=x\n")
    monkeypatch.setenv("SEEDER_TIMEZONE", "Asia/Kathmandu")
    monkeypatch.setenv("SEEDER_SCHEMA", "")
    monkeypatch.setenv("SEEDER_DATABASES", '{"7": "postgresql://h/seven"}')
    monkeypatch.setenv("SEEDER_ON_QUERY_CHANGE", "keep")
    found = load_settings()
    assert (found.max_retries, found.timezone) == (7, "Asia/Kathmandu")
    assert found.zone.key == "Asia/Kathmandu"
    assert found.db_schema == "x"
    assert found.databases == {7: "postgresql://h/seven"}
    assert found.on_query_change is OnQueryChange.KEEP


def test_a_setting_in_json_is_the_environments_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        'SEEDER_DATABASES={"7": "postgresql://h/seven", "8": "postgresql://h/eight"}\n'
        'SEEDER_MAX_PER_DATABASE={"7": 2, "default": 4}\n'
    )
    assert sorted(load_settings().databases) == [7, 8]
    monkeypatch.setenv("SEEDER_DATABASES", '{"8": "postgresql://h/other"}')
    monkeypatch.setenv("SEEDER_MAX_PER_DATABASE", "3")
    found = load_settings()
    assert found.databases == {8: "postgresql://h/other"}
    assert found.max_per_database == {"default": 3}
    monkeypatch.setenv("SEEDER_DATABASES", "{}")
    assert load_settings().databases == {}


def test_a_process_reads_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = current_settings()
    monkeypatch.setenv("SEEDER_MAX_RETRIES", "9")
    assert current_settings() is before
    with pytest.raises(ValueError, match="frozen"):
        before.max_retries = 9  # type: ignore[misc]


def test_a_misspelt_variable_is_told_with_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("SEEDER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SEEDER_HOME", "x")
    monkeypatch.setenv("seeder_schema", "x")
    monkeypatch.setenv("SEEDER_TEST_POSTGRES_URL", "x")
    assert unknown_variables() == []
    monkeypatch.setenv("SEEDER_REFRSH_MODE", "swap")
    (tmp_path / ".env").write_text("SEEDER_COLOUR=red\nOTHER=1\n")
    assert unknown_variables() == [
        "SEEDER_COLOUR is no setting of seeder's.",
        "SEEDER_REFRSH_MODE is no setting of seeder's; SEEDER_REFRESH_MODE is.",
    ]


# --- durations -------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    number=st.integers(0, LONGEST_SECONDS) | st.decimals(0, 1000, places=3),
    unit=st.sampled_from(list(UNITS)),
    spaces=st.tuples(SPACES, SPACES, SPACES),
)
def test_a_duration_is_a_number_with_a_unit(number: Any, unit: str, spaces: tuple[str, str, str]) -> None:
    text = f"{spaces[0]}{number}{spaces[1]}{unit}{spaces[2]}"
    seconds = float(number) * UNITS[unit]
    if seconds <= LONGEST_SECONDS:
        assert load_settings(statement_timeout=text).statement_timeout == pytest.approx(seconds)
    else:
        assert "SEEDER_STATEMENT_TIMEOUT" in refused(statement_timeout=text)


@settings(max_examples=60)
@given(st.text(st.sampled_from("0123456789.-+e sminhdxM_½٣")).filter(lambda text: text.strip()))
def test_what_is_no_duration_is_refused_with_an_example_or_read_as_it_says(text: str) -> None:
    read = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(|ms|s|min|h|d)\s*", text, re.ASCII)
    if read is None:
        assert "such as 15min" in refused(lock_timeout=text)
    elif float(read[1]) * UNITS[read[2]] <= LONGEST_SECONDS:
        assert load_settings(lock_timeout=text).lock_timeout == pytest.approx(float(read[1]) * UNITS[read[2]])


@pytest.mark.parametrize("value", ["1.2.3", ".", "-1", "15MIN", "fast", True, float("nan"), "9" * 400])
def test_no_limit_is_0_and_nothing_else_stands_for_it(value: Any) -> None:
    assert "SEEDER_RETRY_BACKOFF_MAX" in refused(retry_backoff_max=value)
    assert load_settings(retry_backoff_max="0").retry_backoff_max == 0


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"same_moment": "night"}, "SEEDER_SAME_MOMENT"),
        ({"same_moment": "true"}, "SEEDER_SAME_MOMENT"),
        ({"same_moment_max": 0}, "SEEDER_SAME_MOMENT_MAX"),
        ({"same_moment_max": "2 d"}, "SEEDER_SAME_MOMENT_MAX"),
        ({"same_moment_max": "soon"}, "SEEDER_SAME_MOMENT_MAX"),
    ],
)
def test_a_moment_is_an_agencys_or_a_seedings_and_has_an_end(setting: dict[str, Any], name: str) -> None:
    assert re.search(rf"{name}\b", refused(**setting))
    assert load_settings(same_moment_max="20 min").same_moment_max == 1200


def test_the_longest_durations_are_those_that_postgresql_takes(postgres_url: str) -> None:
    connection = psycopg2.connect(make_url(postgres_url).set(drivername="postgresql").render_as_string(False))
    with connection.cursor() as cursor:
        cursor.execute("set statement_timeout = %s", [LONGEST_SECONDS * 1000])
        cursor.execute("select now() - make_interval(days => %s) < now()", [LONGEST_HISTORY_DAYS])
        assert cursor.fetchone() == (True,)
        with pytest.raises(psycopg2.errors.InvalidParameterValue):
            cursor.execute("set statement_timeout = %s", [(LONGEST_SECONDS + 1) * 1000])
    connection.close()
    assert "SEEDER_STATEMENT_TIMEOUT" in refused(statement_timeout="25d")
    assert "SEEDER_HISTORY_DAYS" in refused(history_days=LONGEST_HISTORY_DAYS + 1)
    assert timedelta(seconds=LONGEST_SECONDS) < timedelta(days=25)


# --- everything else -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"schedule": "0 2 * *"}, "five fields"),
        ({"schedule": "*/10 0 2 * * *"}, "five fields"),
        ({"schedule": "61 2 * * *"}, "Bad minute"),
        ({"schedule": "0 0 */5 2 MON#5"}, "no day within 50 years"),
        ({"timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"agency_table": "public.agency; drop table x"}, "write a table as in SQL"),
        ({"agency_table": "a.b.c"}, "write a table as in SQL"),
        ({"database_url": "mysql://host/name"}, "must begin with postgresql://"),
        ({"database_url": "reporting"}, "write a URL such as postgresql://"),
        ({"database_url": "postgresql://user:p%00w@host/name"}, "no NUL"),
        ({"database_url": "postgresql://user:p@ss@host/name"}, "%40"),
        ({"database_url": "postgresql://user:p@ss/word@host/name"}, "%40"),
        ({"broker_url": "amqp://host"}, "amqp:// is not supported"),
        ({"broker_url": "redis://host:66000/0"}, "write a Redis URL"),
        ({"flower_url": "flower.example:5555"}, "write an address such as https://flower.example"),
        ({"flower_url": "ftp://flower.example"}, "write an address such as https://flower.example"),
        ({"flower_url": "https://me:pass@flower.example"}, "without user and password"),
        ({"databases": {"seven": "postgresql://host/name"}}, "valid integer"),
        ({"max_retries": -1}, "greater than or equal to 0"),
        ({"history_days": 0}, "greater than or equal to 1"),
        ({"refresh_mode": "sometimes"}, "auto"),
    ],
)
def test_what_can_not_be_used_is_refused_with_its_variable_and_what_to_write(
    setting: dict[str, Any], words: str
) -> None:
    (field,) = setting
    message = refused(**setting)
    assert message.startswith(f"{variable_name(field)} can't be used: ")
    assert words in message


@pytest.mark.parametrize(
    ("schema", "usable"),
    [("reporting", True), ('a "b" c', True), ("x" * 63, True), ("x" * 64, False), ("é" * 32, False),
     ('o"d, d', True), ("", False), ("50%", False), ("$user", False)],
)  # fmt: skip
def test_a_schema_is_what_postgresql_can_name(
    monkeypatch: pytest.MonkeyPatch, schema: str, usable: bool
) -> None:
    if usable:
        assert load_settings(SEEDER_SCHEMA=schema).db_schema == schema
    else:
        assert refused(SEEDER_SCHEMA=schema).startswith("SEEDER_SCHEMA can't be used")


@pytest.mark.parametrize("table", ["public.agency", '"Core"."Agency ""x"""', "a$.b_1"])
def test_a_table_is_written_as_in_sql(table: str) -> None:
    assert load_settings(agency_table=table).agency_table == table


@pytest.mark.parametrize("table", ["agency", '"Agency.x"'])
def test_a_table_without_a_schema_is_one_of_public(table: str) -> None:
    assert load_settings(agency_table=table).agency_table == f"public.{table}"


def test_json_that_is_none_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDER_DATABASES", "{7: SECRET}")
    message = refused()
    assert message.startswith("SEEDER_DATABASES can't be used: it must be JSON.")
    assert "SECRET" not in message


FORMS = [
    "postgresql://user:{}@host/name",
    "postgresql://user:{}@host:port/name",
    "postgresql://user:{}@h@host/name",
    "postgresql://{}",
    "mysql://user:{}@host/name",
    "user:{}@host",
]


@example("postgresql://user:{}@host/name", "S3/cr3t", "broker_url")
@settings(max_examples=40)
@given(
    form=st.sampled_from(FORMS),
    password=st.text(st.sampled_from("abc@:/?#%&= \"'"), max_size=8).map(lambda text: f"S3{text}cr3t"),
    setting=st.sampled_from(["database_url", "broker_url", "databases"]),
)
def test_a_refused_url_is_not_repeated(form: str, password: str, setting: str) -> None:
    """What is wrong with it may be its password."""
    url = form.format(password).replace("postgresql", "redis" if setting == "broker_url" else "postgresql")
    message = ""
    try:
        load_settings(**{setting: {"7": url} if setting == "databases" else url})
    except BadSetting as error:
        message = str(error)
    assert "S3" not in message
    assert "cr3t" not in message


@settings(max_examples=40)
@given(password=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_any_password_can_be_written_percent_encoded(password: str) -> None:
    written = quote(password, safe="")
    database = load_settings(database_url=f"postgresql://user:{written}@host/name").database_url
    assert make_url(str(database)).password == password
    broker = load_settings(broker_url=f"redis://:{written}@host:6379/0").broker_url
    assert str(broker).endswith("@host:6379/0")


@pytest.mark.parametrize(
    ("field", "variable"),
    [
        ("database_url", "SEEDER_DATABASE_URL"),
        ("db_schema", "SEEDER_SCHEMA"),
        ("SEEDER_SCHEMA", "SEEDER_SCHEMA"),
    ],
)
def test_a_field_is_called_by_its_variable(field: str, variable: str) -> None:
    assert variable_name(field) == variable
