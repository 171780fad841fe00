"""The grammar of ids: what is built is read back, by Python and by PostgreSQL alike, in any collation."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from support.emptied import fresh_database

from seeder import run_ids
from seeder.config.urls import driver_url
from seeder.models import ReportType

PACKAGE = Path(run_ids.__file__).parent

#: How ids were built and taken apart by hand, in Python, in templates and in SQL.
BY_HAND = re.compile(
    r"""split_part\(\s*[\w.]*(run|seeding)_id | run_id[^\n]{0,25}\.r?(partition|split)\(
    | identity\.r?(partition|split)\( | manifest\.r?(partition|split)\(
    | %Y%m%dT%H | report_type\}-\{ | '(custom|canned)-' | \.(canned-|custoz)' | (run_id|seeding_id)\W+like\b
    | (run_id|seeding_id)\)?s?\s*\|\|""",
    re.VERBOSE,
)

#: In UTC+14 and UTC-12, too: an id is made from UTC's clock.
MOMENTS = st.builds(
    lambda moment, minutes: moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes))),
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)),
    st.integers(-12 * 60, 14 * 60),
)
SEEDINGS = st.one_of(
    MOMENTS.map(run_ids.tick_seeding_id),
    MOMENTS.map(run_ids.adhoc_seeding_id),
    MOMENTS.map(run_ids.drop_round_id),
)
TYPES = st.sampled_from(list(ReportType))
NUMBERS = st.integers(-(2**31), 2**31 - 1)
#: What others may have called their rows: something else, or nearly one of ours.
ANY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    st.text("0129TZ-.acnoz²٣", max_size=30),
    st.from_regex(r"[0-9]{7,9}T[0-9]{3,6}Z?[-.x]?.{0,3}", fullmatch=True).filter(
        lambda one: "\x00" not in one
    ),
)

COLLATIONS = {
    "C": "locale 'C' encoding 'UTF8'",
    "shifted": "locale_provider icu icu_locale 'en-u-ka-shifted' locale 'C' encoding 'UTF8'",
}


@pytest.fixture(scope="module", params=COLLATIONS)
def cursor(request: pytest.FixtureRequest, postgres15_url: str) -> Iterator[Any]:
    """In a database with that order of texts; ICU of Debian's PostgreSQL can pass over punctuation."""
    with fresh_database(postgres15_url, COLLATIONS[request.param]) as url:
        engine = create_engine(driver_url(url))
        with closing(engine.raw_connection()) as connection:
            yield connection.cursor()
        engine.dispose()


def asked(cursor: Any, expression: str, **values: object) -> Any:
    cursor.execute(f"select {expression}", values)
    return cursor.fetchone()[0]


# --- in Python ---------------------------------------------------------------------------------------------


@given(SEEDINGS, TYPES, NUMBERS)
def test_what_a_run_id_was_built_of_is_read_back(seeding_id: str, report_type: str, number: int) -> None:
    identity = run_ids.manifest_identity(report_type, number)
    assert run_ids.read_identity(identity) == (report_type, number)
    for run_id in (run_ids.run_id_of(seeding_id, identity), run_ids.drop_id_of(seeding_id, identity, 3)):
        assert (run_ids.seeding_of(run_id), run_ids.identity_of(run_id)) == (seeding_id, identity)


@given(MOMENTS)
def test_a_seedings_moment_and_its_kind_are_read_from_its_id(moment: datetime) -> None:
    tick, adhoc = run_ids.tick_seeding_id(moment), run_ids.adhoc_seeding_id(moment)
    second = moment.replace(microsecond=0)
    assert (run_ids.seeding_moment(tick), run_ids.is_scheduled(tick)) == (second.replace(second=0), True)
    assert (run_ids.seeding_moment(adhoc), run_ids.is_scheduled(adhoc)) == (second, False)
    assert len({run_ids.adhoc_seeding_id(moment) for _ in range(5)}) > 1


def test_the_ids_are_those_that_the_documentation_shows() -> None:
    moment = datetime(2026, 11, 23, 10, 15, 2, tzinfo=timezone(timedelta(hours=1)))
    assert run_ids.tick_seeding_id(moment) == "20261123T0915Z"
    assert re.fullmatch("20261123T091502Z-[a-z0-9]{4}", run_ids.adhoc_seeding_id(moment))
    assert re.fullmatch("dropped-20261123T091502Z-[a-f0-9]{4}", run_ids.drop_round_id(moment))
    assert run_ids.run_id_of("20261123T0915Z", "custom-12") == "20261123T0915Z.custom-12"
    assert run_ids.manifest_identity(ReportType.CANNED, 3) == "canned-3"


@pytest.mark.parametrize(
    "text",
    ["", "n0", "20269924T0200Z", "20261124T0200", "x20261124T0200Z", "20261124T0200Z-x", "20261124T٠200Z"],
)
def test_another_id_has_no_moment(text: str) -> None:
    assert run_ids.seeding_moment(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "custom", "custom-", "custom-x", "custom-012", "custom-+1", "custom--0", "custom-1.0", "other-1",
        "Custom-1", "custom-٣", "custom-2147483648", "canned--2147483649", "canned-" + 5000 * "9",
        "custom-1\n",
    ],
)  # fmt: skip
def test_what_is_no_manifests_identity_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no manifest's identity"):
        run_ids.read_identity(text)


# --- in SQL, as in Python ----------------------------------------------------------------------------------

EASY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EASY
@given(st.one_of(ANY, st.builds(run_ids.run_id_of, SEEDINGS | ANY, ANY)))
def test_postgresql_reads_the_same_seeding_out_of_any_id(cursor: Any, run_id: str) -> None:
    seeding_id = run_ids.seeding_of(run_id)
    assert asked(cursor, run_ids.sql_seeding_of("%(run_id)s"), run_id=run_id) == seeding_id
    scheduled = asked(cursor, run_ids.sql_is_scheduled("%(run_id)s"), run_id=run_id)
    assert scheduled == run_ids.is_scheduled(seeding_id)


@EASY
@given(TYPES, NUMBERS)
def test_postgresql_builds_the_same_identity(cursor: Any, report_type: str, number: int) -> None:
    built = asked(cursor, run_ids.sql_identity(report_type, "(%(number)s)::integer"), number=number)
    assert built == run_ids.manifest_identity(report_type, number)


@EASY
@given(st.lists(SEEDINGS | ANY.map(run_ids.seeding_of), min_size=1, max_size=4), TYPES, NUMBERS)
def test_postgresql_finds_exactly_a_seedings_runs(
    cursor: Any, seedings: list[str], report_type: str, number: int
) -> None:
    identity = run_ids.manifest_identity(report_type, number)
    # One that differs by punctuation alone is the same place in an order that passes over it.
    seedings = [*seedings, f"-{seedings[0]}", f"{seedings[0]}-"]
    runs = [run_ids.run_id_of(seeding_id, identity) for seeding_id in seedings]
    sql = f"""
        array(
            select run_id from unnest(%(runs)s::text[]) as run_id
            where {run_ids.sql_belongs_to("run_id", "%(seeding_id)s::text")}
        )"""
    found = asked(cursor, sql, runs=runs, seeding_id=seedings[0])
    assert found == [one for one in runs if run_ids.seeding_of(one) == seedings[0]]


@EASY
@given(MOMENTS, st.integers(1, 60), TYPES, NUMBERS)
def test_an_earlier_ticks_runs_lie_before_the_start_of_a_seeding_and_its_own_behind_it(
    cursor: Any, tick: datetime, minutes: int, report_type: str, number: int
) -> None:
    identity = run_ids.manifest_identity(report_type, number)
    seeding_id = run_ids.tick_seeding_id(tick)
    before = run_ids.run_id_of(run_ids.tick_seeding_id(tick - timedelta(minutes=minutes)), identity)
    own = run_ids.run_id_of(seeding_id, identity)
    start = run_ids.sql_start_of("%(seeding_id)s")
    sql = f"array[%(before)s < {start}, %(own)s < {start}]"
    found = asked(cursor, sql, before=before, own=own, seeding_id=seeding_id)
    assert found == [True, False]


def test_nothing_else_builds_ids_or_takes_them_apart() -> None:
    places = [path for end in ("py", "html", "sql") for path in PACKAGE.rglob(f"*.{end}")]
    assert BY_HAND.search((PACKAGE / "run_ids.py").read_text())
    found = [
        f"{path.relative_to(PACKAGE)}: {found[0]}"
        for path in places
        if path.name != "run_ids.py"
        for found in BY_HAND.finditer(path.read_text())
    ]
    assert found == []
