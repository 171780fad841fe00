"""Ending a run over the API."""

from fastapi.testclient import TestClient
from support.contract import Platform, as_it_is, new_run

RUN = "20261124T091501Z-a1b2.custom-1"
CANCEL = f"/api/runs/{RUN}/cancel"


def test_a_run_that_is_queued_is_ended_in_the_name_of_whoever_asked(
    platform: Platform, holder: TestClient
) -> None:
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run(RUN)])
    answer = holder.post(CANCEL)
    assert answer.status_code == 200
    assert answer.json() == {"runId": RUN, "tableName": "sales", "cancelled": True, "ended": True}
    row = platform.run(RUN)
    assert row.status == "error"
    assert row.errors.startswith("Cancelled by ")
    assert row.errors.endswith(" before it started.")


def test_a_run_that_is_over_stays_as_it_is(platform: Platform, holder: TestClient) -> None:
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run(RUN)])
    platform.history.fail(as_it_is(platform.history, RUN), "division by zero")
    before = platform.run(RUN)
    answer = holder.post(CANCEL).json()
    assert (answer["cancelled"], answer["ended"]) == (False, True)
    assert platform.run(RUN) == before


def test_a_tables_name_ends_nothing(platform: Platform, holder: TestClient) -> None:
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run(RUN)])
    assert holder.post("/api/runs/sales/cancel").status_code == 404
    assert platform.run(RUN).status == "pending"


def test_somebody_unknown_ends_nothing(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run(RUN)])
    assert client.post(CANCEL).status_code in (401, 403)
    assert platform.run(RUN).status == "pending"
