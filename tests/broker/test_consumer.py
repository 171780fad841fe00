"""What of a message is judged before anything is made of it: whatever it holds, nothing is raised."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeder.broker.consumer import fault_of_arguments, fault_of_headers, fault_of_payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(), parts, max_size=4),
    max_leaves=8,
)
HEADERS = st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "task", "retries", "timelimit"), JSON))


@dataclass(frozen=True)
class Task:
    """As much of a task as is looked at."""

    run: Callable[..., None]
    name: str = "seeder.refresh"


def fan_out(agency_slug: str, report_type: str | None = None, *, scheduled: bool = False) -> None: ...


def refresh(report_type: str, manifest_id: int, table_name: str, database_id: int | None = None) -> None: ...


def sweep() -> None: ...


TASKS = st.sampled_from([Task(fan_out), Task(refresh), Task(sweep)])


@given(JSON | HEADERS)
def test_headers_are_passed_only_with_what_celery_relies_on(headers: Any) -> None:
    if fault_of_headers(headers) is None:
        assert isinstance(headers["id"], str)
        assert isinstance(headers["task"], str)
        assert headers["id"].encode()
        assert isinstance(headers.get("retries") or 0, int)
        low, high = headers.get("timelimit") or (None, None)
        assert all(isinstance(limit or 0, int | float) for limit in (low, high))


@given(TASKS, JSON | st.tuples(st.lists(JSON), st.dictionaries(st.text(), JSON), st.just({})))
def test_a_payload_is_passed_only_where_the_task_can_be_called_with_it(task: Any, payload: Any) -> None:
    if fault_of_payload(task, payload) is None:
        args, kwargs, _ = payload
        assert all(isinstance(value, str | int | None) for value in (*args, *kwargs.values()))


@pytest.mark.parametrize(
    ("task", "args", "kwargs"),
    [
        (Task(fan_out), ["ua"], {}),
        (Task(fan_out), ["ua", "custom"], {"scheduled": True}),
        (Task(fan_out), ["ua", None], {}),
        (Task(fan_out), [], {"agency_slug": "übersicht"}),
        (Task(refresh), ["custom", 2**31 - 1, "sales", None], {}),
        (Task(refresh), ["custom", -1], {"table_name": "", "database_id": 7}),
        (Task(sweep), [], {}),
    ],
)
def test_right_arguments_are_passed(task: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    assert fault_of_payload(task, [args, kwargs, {"callbacks": None}]) is None


@pytest.mark.parametrize("wrong", [2**31, -(2**31) - 1, True, 1.0, "1", None, [1]])
def test_a_number_is_one_that_postgresql_can_hold(wrong: Any) -> None:
    fault = fault_of_arguments(Task(refresh), ["custom", wrong, "sales"], {})
    assert fault == "seeder.refresh: manifest_id is no int"


def test_of_tasks_that_are_not_seeders_the_arguments_are_not_looked_at() -> None:
    assert fault_of_payload(Task(sweep, "reports.mail"), [[object()], {}, None]) is None
