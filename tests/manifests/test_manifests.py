"""Manifests: how rows become values, whatever the rows hold and whatever a deployment added to the tables."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contract import Platform

from seeder.errors import FieldMissing, NameRefused, QueryRefused, SchemaIncomplete, UnknownReport
from seeder.manifests import Manifest, owned
from seeder.models import ReportType

ONE = Manifest(
    ReportType.CANNED, 3, "crew_{agency_slug}", "Crew", 7, "u-a", "select :agency_id", None, "reporting"
)


def test_both_kinds_are_read_and_owners_come_first(any_platform: Platform) -> None:
    any_platform.canned_report(5, table_name="crew_{agency_slug}", query="select :agency_slug as a")
    any_platform.canned(2, 5, agency_slug="u-a")
    any_platform.custom(9)
    any_platform.custom(3, database_id=7)
    found = any_platform.all_manifests()
    assert [one.identity for one in found] == ["custom-3", "custom-9", "canned-2"]
    assert (found[0].database_id, found[1].database_id) == (7, None)
    assert (found[2].table_name, found[2].raw_table_name) == ("crew_u_a", "crew_{agency_slug}")
    assert str(found[2].matview) == "reporting.crew_u_a"
    assert "'u-a'" in found[2].query.text


def test_a_manifest_that_is_switched_off_does_not_count(any_platform: Platform) -> None:
    any_platform.custom(1, enabled=False)
    any_platform.custom(2)
    assert [one.identity for one in any_platform.all_manifests()] == ["custom-2"]
    assert any_platform.manifest("custom", 1) is None
    assert any_platform.manifest("custom", 3) is None
    assert any_platform.manifest("canned", 2) is None


def test_canned_manifests_can_be_switched_off_where_a_deployment_lets_them(platform: Platform) -> None:
    platform.canned_report(5)
    for number in (1, 2, 3):
        platform.canned(number, 5)
    table = "reporting.seeder_canned_report_manifest"
    platform.sql(f"alter table {table} add enabled boolean, add colour text default 'red'")
    try:
        platform.sql(f"update {table} set enabled = (id = 1) where id < 3")
        assert [one.identity for one in platform.all_manifests()] == ["canned-1", "canned-3"]
    finally:
        platform.sql(f"alter table {table} drop enabled, drop colour")


def test_a_row_with_nothing_in_it_is_read_and_told_by_the_field_it_lacks(platform: Platform) -> None:
    platform.canned(1, None, agency_id=None, agency_slug=None)
    (found,) = platform.all_manifests()
    assert (found.table_name, found.raw_query, found.agency_slug, found.agency_id) == ("", "", "", None)
    with pytest.raises(FieldMissing, match="has no canned_report_id"):
        found.verify()
    with pytest.raises(FieldMissing, match="has no query"):
        _ = found.query


def test_a_subscription_to_a_report_that_is_not_there_is_told_of_the_report(platform: Platform) -> None:
    platform.canned_report(5)
    platform.canned(1, 5)
    platform.canned(2, 99)
    good, bad = platform.all_manifests()
    good.verify()
    with pytest.raises(UnknownReport, match="There is no canned report 99 in seeder_canned_report"):
        bad.verify()


def test_a_missing_table_is_told_as_a_missing_table(platform: Platform) -> None:
    platform.sql("alter table reporting.seeder_canned_report rename to elsewhere")
    try:
        with pytest.raises(SchemaIncomplete, match=r'lacks relation "reporting\.seeder_canned_report"'):
            platform.all_manifests()
    finally:
        platform.sql("alter table reporting.elsewhere rename to seeder_canned_report")


@pytest.mark.parametrize(
    "change",
    [{"raw_query": "select 2"}, {"agency_id": 8}, {"agency_slug": "x"}, {"manifest_id": 4}],
    ids=lambda change: next(iter(change)),
)
def test_the_source_changes_with_all_that_the_rendered_sql_depends_on(change: dict[str, Any]) -> None:
    assert replace(ONE, **change).source(()) != ONE.source(())


def test_tables_that_go_before_are_filled_in_and_stand_in_the_schema_as_a_manifests_own_table_does() -> None:
    text = "-- seeder: after=(Base, crew_{agency_slug}, other.c_{manifest_id})\nselect :agency_id"
    assert list(map(str, replace(ONE, raw_query=text).after)) == [
        "reporting.Base",
        "reporting.crew_u_a",
        "other.c_3",
    ]
    too_long = replace(ONE, raw_query="-- seeder: after=(c_{agency_slug})\nselect 1", agency_slug="a" * 62)
    with pytest.raises(NameRefused, match="keeps only 63"):
        _ = too_long.after


def test_the_source_changes_with_nothing_else() -> None:
    same = replace(ONE, report_name="Other", raw_table_name="other", database_id=7)
    assert same.source(("b", "a")) == ONE.source(("a", "b")) != ONE.source(("a",))


def test_the_source_is_another_in_another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ONE.source(())
    monkeypatch.setattr("seeder.manifests.manifest.__version__", "0.0.0")
    assert ONE.source(()) != before


@given(st.text(), st.text())
def test_whatever_a_row_holds_is_refused_by_a_manifest_error_or_accepted(name: str, query: str) -> None:
    one = replace(ONE, raw_table_name=name, raw_query=query)
    assert isinstance(one.table_name, str)
    found = owned([one, replace(one, manifest_id=4)], {None})
    assert len(found.owners) + len(found.sharers) + len(found.refused) == 2


def test_two_of_the_same_refused_sql_share_their_error_and_others_do_not() -> None:
    bad = replace(ONE, raw_table_name="t", raw_query="drop table x")
    found = owned(
        [bad, replace(bad, manifest_id=4), replace(bad, manifest_id=5, raw_query="drop table y")], {None}
    )
    assert [one.manifest_id for one in found.owners] == [3]
    assert list(found.sharers) == ["canned-4"]
    assert [one.manifest_id for one, _ in found.refused] == [5]
    with pytest.raises(QueryRefused):
        _ = bad.query


def test_one_table_on_two_databases_belongs_to_one_of_them() -> None:
    here = replace(ONE, raw_table_name="t")
    found = owned([here, replace(here, manifest_id=4, database_id=7)], {None, 7})
    assert [one.manifest_id for one, _ in found.refused] == [4]
