"""What a seeding runs: each matview once, by its owner's manifest, the longest first."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seeder.broker.queues import CONTROL_PRIORITY, RUN_PRIORITIES
from seeder.errors import UnknownAgency, UnknownReportType, UnknownTable
from seeder.manifests import Manifest
from seeder.models import ReportType
from seeder.postgres.application_names import application_name, read_application_name
from seeder.seedings.graph import Graph
from seeder.seedings.planning import Selection, plan

DATABASES = {None, 7}
TABLES = [
    "sales",
    "reporting.sales",
    "fleet",
    "Fleet",
    "crew_{agency_slug}",
    "crew_ua",
    "",
    "pg_catalog.x",
    "a b",
]
QUERIES = ["select 1", "SELECT  1", "select 2", "drop table x", ""]


def manifest(number: int = 1, report_type: str = "custom", **more: Any) -> Manifest:
    usual: dict[str, Any] = {
        "raw_table_name": f"report_{number}", "report_name": "Sales", "agency_id": 7, "agency_slug": "ua",
        "raw_query": "select 1", "database_id": None, "default_schema": "reporting",
    }  # fmt: skip
    return Manifest(report_type=ReportType(report_type), manifest_id=number, **{**usual, **more})


MANIFESTS = st.lists(
    st.builds(
        manifest,
        st.integers(1, 9),
        st.sampled_from(["custom", "canned"]),
        raw_table_name=st.sampled_from(TABLES),
        raw_query=st.sampled_from(QUERIES),
        agency_slug=st.sampled_from(["ua", "dl", ""]),
        database_id=st.sampled_from([None, None, 7, 8]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda one: one.identity,
)
USUAL = st.dictionaries(
    st.sampled_from(["sales", "fleet", "Fleet", "crew_ua", "crew_dl"]), st.integers(0, 3600)
)


@settings(max_examples=60)
@given(MANIFESTS, USUAL)
def test_each_matview_is_run_once_and_no_manifest_is_forgotten(
    manifests: list[Manifest], usual: dict[str, int]
) -> None:
    made = plan("n1", manifests, Selection(), DATABASES, usual)
    by_id = {f"n1.{one.identity}": one for one in manifests}
    planned = [by_id[one.run.run_id] for one in made.planned]
    assert set(Counter(str(one.matview) for one in planned).values()) <= {1}
    refused = {one.run.run_id for one in made.refusals}
    assert refused.isdisjoint(one.run.run_id for one in made.planned)
    matviews = {str(one.matview): one for one in planned}
    for run_id, one in by_id.items():
        if run_id not in refused:
            owner = matviews[str(one.matview)]
            # Custom before canned, then the lowest id.
            assert (owner.report_type != "custom", owner.manifest_id) <= (
                one.report_type != "custom",
                one.manifest_id,
            )
            assert owner.database_id == one.database_id


@settings(max_examples=60)
@given(MANIFESTS, USUAL)
def test_the_longest_come_first_and_priorities_never_go_back(
    manifests: list[Manifest], usual: dict[str, int]
) -> None:
    made = plan("n1", manifests, Selection(), DATABASES, usual)
    seconds = [usual.get(one.run.table_name, 0) for one in made.planned]
    priorities = [one.priority for one in made.planned]
    assert seconds == sorted(seconds, reverse=True)
    assert priorities == sorted(priorities)
    assert set(priorities) <= set(RUN_PRIORITIES)
    assert min(RUN_PRIORITIES) > CONTROL_PRIORITY


@settings(max_examples=60)
@given(MANIFESTS, st.randoms())
def test_the_order_that_manifests_are_read_in_changes_nothing(manifests: list[Manifest], chance: Any) -> None:
    shuffled = list(manifests)
    chance.shuffle(shuffled)
    one, other = (plan("n1", these, Selection(), DATABASES, {"sales": 9}) for these in (manifests, shuffled))
    assert one.planned == other.planned
    assert sorted(one.refusals, key=repr) == sorted(other.refusals, key=repr)


@settings(max_examples=60)
@given(MANIFESTS, st.sampled_from([None, "custom", "canned"]), st.sampled_from([None, "ua", "dl"]))
def test_what_is_selected_is_run_by_the_same_owners_as_in_a_whole_night(
    manifests: list[Manifest], report_type: str | None, agency: str | None
) -> None:
    whole = plan("n1", manifests, Selection(), DATABASES, {})
    selection = Selection(report_type, agency)
    if not any(map(selection.takes, manifests)):
        return
    part = plan("n1", manifests, selection, DATABASES, {})
    assert {one.run for one in part.planned} <= {one.run for one in whole.planned}
    assert set(part.refusals) <= set(whole.refusals)
    mine = {f"n1.{one.identity}" for one in manifests if selection.takes(one)}
    assert {one.run.run_id for one in part.refusals} == mine & {one.run.run_id for one in whole.refusals}


def test_each_ninth_of_the_usual_time_has_a_priority_of_its_own() -> None:
    manifests = [manifest(number) for number in range(1, 14)]
    usual = {"report_1": 1000, "report_2": 600, "report_3": 400, **{f"report_{n}": 100 for n in range(4, 14)}}
    found = plan("n1", manifests, Selection(), DATABASES, usual).planned
    assert [one.priority for one in found] == [1, 4, 5, 7, 7, 7, 7, 8, 8, 8, 9, 9, 9]


def test_what_begins_a_long_chain_goes_before_what_is_longer_itself() -> None:
    manifests = [manifest(number) for number in range(1, 5)]
    usual = {"report_1": 1.0, "report_2": 30.0, "report_3": 40.0, "report_4": 0.5}
    graph = Graph({"custom-2": frozenset({"custom-1"}), "custom-4": frozenset({"custom-2"})})
    found = plan("n1", manifests, Selection(), DATABASES, usual, graph).planned
    assert [one.run.table_name for one in found] == ["report_3", "report_1", "report_2", "report_4"]
    assert [one.awaited for one in found] == [False, True, True, False]
    longer = plan("n1", manifests, Selection(), DATABASES, {**usual, "report_2": 39.0}, graph).planned
    assert longer[0].run.table_name == "report_1"
    assert [one.usual_seconds for one in longer] == [1, 40, 39, 1]


def test_without_any_usual_time_all_are_alike_and_go_by_name() -> None:
    found = plan("n1", [manifest(2), manifest(1)], Selection(), DATABASES, {}).planned
    assert [(one.run.table_name, one.priority) for one in found] == [("report_1", 9), ("report_2", 9)]


def test_a_sharer_alone_has_the_owners_run_do_it() -> None:
    owner, sharer = (
        manifest(4, raw_table_name="s"),
        manifest(3, "canned", raw_table_name="reporting.s", agency_slug="dl"),
    )
    found = plan("n1", [sharer, owner], Selection(agency_slug="dl"), DATABASES, {})
    assert [one.run.run_id for one in found.planned] == ["n1.custom-4"]
    assert found.refusals == ()


def test_other_sql_for_the_same_table_is_refused_with_its_owner_and_out_of_the_owners_sight() -> None:
    found = plan(
        "n1",
        [
            manifest(1, raw_table_name="s", report_name="A"),
            manifest(2, raw_table_name="s", raw_query="select 2"),
        ],
        Selection(),
        DATABASES,
        {},
    )
    (refusal,) = found.refusals
    assert (refusal.run.run_id, refusal.shown) == ("n1.custom-2", False)
    assert "belongs to custom-1 (A, agency ua)" in refusal.errors


@settings(max_examples=60)
@given(MANIFESTS)
def test_no_refusal_shows_in_the_status_of_a_table_that_another_manifest_has(
    manifests: list[Manifest],
) -> None:
    made = plan("n1", manifests, Selection(), DATABASES, {})
    shown = [one.run.table_name for one in made.refusals if one.shown]
    assert len(shown) == len(set(shown))
    assert not set(shown) & {one.run.table_name for one in made.planned}


@pytest.mark.parametrize("database_id", [7, 8])
def test_whose_a_table_is_does_not_depend_on_which_databases_are_known(database_id: int) -> None:
    mine = manifest(300, raw_table_name="own", agency_slug="one")
    other = manifest(301, raw_table_name="own", agency_slug="two", database_id=database_id)
    found = plan("n1", [mine, other], Selection(), DATABASES, {})
    assert [one.run.run_id for one in found.planned] == ["n1.custom-300"]
    (refusal,) = found.refusals
    assert "belongs to custom-300 (Sales, agency one), whose database_id differs" in refusal.errors
    assert not refusal.shown


def test_those_that_share_the_table_of_an_unknown_database_are_told_of_it_too() -> None:
    owner, sharer = (manifest(n, raw_table_name="own", database_id=8) for n in (1, 2))
    found = plan("n1", [owner, sharer], Selection(), DATABASES, {})
    assert found.planned == ()
    assert [(one.run.manifest_id, one.shown) for one in found.refusals] == [(1, True), (2, False)]
    assert all("database_id 8 is not in SEEDER_DATABASES" in one.errors for one in found.refusals)


def test_a_manifest_without_an_agency_leaves_the_status_of_anothers_table_alone() -> None:
    found = plan(
        "n1",
        [manifest(1, raw_table_name="own", agency_id=None), manifest(2, raw_table_name="own")],
        Selection(),
        DATABASES,
        {},
    )
    assert [one.run.run_id for one in found.planned] == ["n1.custom-2"]
    assert [(one.run.manifest_id, one.shown) for one in found.refusals] == [(1, False)]


@pytest.mark.parametrize(
    ("columns", "words", "shown"),
    [
        ({"raw_table_name": ""}, "has no table_name", False),
        ({"agency_id": None}, "has no agency_id", True),
        ({"agency_slug": ""}, "has no agency_slug", True),
        ({"raw_table_name": "a b"}, "can't be used", True),
        ({"database_id": 8}, "database_id 8 is not in SEEDER_DATABASES", True),
        ({"raw_table_name": "x_{color}", "report_type": "canned"}, "placeholder {color}", True),
    ],
)
def test_a_manifest_that_can_not_be_used_is_refused_and_the_others_run(
    columns: dict[str, Any], words: str, shown: bool
) -> None:
    found = plan("n1", [manifest(2, **columns), manifest(1)], Selection(), DATABASES, {})
    assert [one.run.table_name for one in found.planned] == ["report_1"]
    assert words in found.refusals[0].errors
    assert found.refusals[0].shown == shown


@pytest.mark.parametrize("name", ["crew_{agency_slug}", "crew_u_a"])
def test_a_table_is_selected_by_its_name_with_or_without_placeholders(name: str) -> None:
    one = manifest(1, "canned", raw_table_name="crew_{agency_slug}", agency_slug="u-a")
    found = plan("n1", [one, manifest(2)], Selection(table_name=name), DATABASES, {})
    assert [planned.run.table_name for planned in found.planned] == ["crew_u_a"]


def test_what_nothing_is_selected_by_is_told() -> None:
    with pytest.raises(UnknownAgency, match="No enabled manifest of type canned belongs to agency 'xx'"):
        plan("n1", [manifest()], Selection("canned", "xx"), DATABASES, {})
    with pytest.raises(UnknownTable, match="'nowhere'"):
        plan("n1", [manifest()], Selection(agency_slug="ua", table_name="nowhere"), DATABASES, {})
    with pytest.raises(UnknownReportType, match="'tinned'"):
        Selection("tinned")
    assert plan("n1", [], Selection(), DATABASES, {}).planned == ()


@given(
    st.sampled_from(["20261123T0200Z", "20261123T091502Z-k3f9"]),
    st.sampled_from(["custom", "canned"]),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 99),
)
def test_a_run_id_is_its_seeding_type_and_number_and_names_a_connection(
    seeding: str, report_type: str, number: int, attempt: int
) -> None:
    one = manifest(number, report_type, raw_table_name="t")
    (planned,) = plan(seeding, [one], Selection(), DATABASES, {}).planned
    assert planned.run.run_id == f"{seeding}.{report_type}-{number}"
    assert read_application_name(application_name(planned.run.run_id, attempt)) == (
        planned.run.run_id,
        attempt,
    )
