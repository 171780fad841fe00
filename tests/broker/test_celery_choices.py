"""celeryconfig.py: what stands in it wins over what seeder sets, is joined to it, or is refused by name."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from celery.app.utils import detect_settings
from kombu.entity import Exchange, Queue
from support.forked import run_module

from seeder.app import celery_settings
from seeder.broker.celery_choices import FIXED, FIXED_OPTIONS, JOINED, MODULE, Loader, beside
from seeder.broker.queues import CONTROL_QUEUE, REFRESH_QUEUE
from seeder.config.settings import Settings
from seeder.errors import CeleryConfigUnusable, CelerySettingFixed

ROOT = Path(__file__).parents[2]
BROKER = "redis://127.0.0.1:1/0"
OURS = celery_settings(Settings(route_by_database=True, databases={"7": "postgresql://h/7"}), BROKER)
FREE = sorted(set(OURS) - set(FIXED) - set(JOINED))

#: Where any other value of the type would do no more than differ.
OTHERS = {"timezone": "Asia/Tokyo", "worker_pool": "prefork", "worker_concurrency": 7}

SHOW = """
import json, sys
from seeder.celery import app
json.dump({name: app.conf[name] for name in sys.argv[1:]} | {"zone": str(app.timezone)}, sys.stdout)
"""


def another(name: str) -> Any:
    value = OTHERS.get(name, OURS[name])
    if name in OTHERS:
        return value
    if isinstance(value, bool):
        return not value
    return {int: lambda: value + 1, str: lambda: f"{value}x"}.get(type(value), lambda: 9)()


def in_a_process(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Something of Celery's with the folder's celeryconfig.py; no server is there, nor asked for."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SEEDER_", "CELERY_"))}
    servers = {"SEEDER_DATABASE_URL": "postgresql://127.0.0.1:1/x", "SEEDER_BROKER_URL": BROKER}
    return run_module(arguments, cwd=folder, env={**own, **servers, **environment})


def running(folder: Path, *names: str) -> Any:
    (folder / "show.py").write_text(SHOW)
    shown = in_a_process(folder, "show", *names)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def stop(folder: Path, **environment: str) -> str:
    """The line with which a worker doesn't start."""
    shown = in_a_process(folder, "celery", "-A", "seeder", "worker", **environment)
    (line,) = shown.stderr.splitlines()
    assert (shown.returncode, line[:8], shown.stdout) == (2, "seeder: ", "")
    return line.removeprefix("seeder: ")


def joined(**chosen: Any) -> Mapping[str, Any]:
    return beside(OURS, detect_settings(chosen))


def test_each_setting_of_seeders_can_be_set_otherwise_joined_or_is_refused() -> None:
    assert {*FREE, *FIXED, *JOINED} >= set(OURS)
    assert len(FREE) > 10, "most are the operator's to set"


def test_the_documentation_names_what_does_not_just_win() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert [name for name in (*FIXED, *FIXED_OPTIONS, *JOINED) if f"`{name}`" not in page] == []


def test_what_an_operator_sets_is_what_the_app_runs_with(tmp_path: Path) -> None:
    chosen = {name: another(name) for name in FREE}
    assert all(chosen[name] != OURS[name] for name in FREE)
    lines = [f"{name} = {value!r}" for name, value in chosen.items()]
    (tmp_path / "celeryconfig.py").write_text("\n".join(lines))
    found = running(tmp_path, *FREE)
    assert found.pop("zone") == "Asia/Tokyo"
    assert found == chosen


def test_celerys_old_names_win_too() -> None:
    standing = joined(CELERYD_CONCURRENCY=7, CELERY_TIMEZONE="Asia/Tokyo")
    assert OURS.keys() - standing.keys() == {"worker_concurrency", "timezone"}


# --- joined ----------------------------------------------------------------------------------------------


def test_an_option_of_the_transport_wins_and_leaves_the_others() -> None:
    options = joined(broker_transport_options={"socket_timeout": 3, "fanout_prefix": True})
    expected = {**OURS["broker_transport_options"], "socket_timeout": 3, "fanout_prefix": True}
    assert options["broker_transport_options"] == expected


def test_an_entry_of_beats_joins_or_replaces_one_of_seeders() -> None:
    sweep = {"task": "seeder.sweep", "schedule": 30.0}
    entries = joined(beat_schedule={"settle lost runs": sweep, "mine": {"task": "t", "schedule": 9.0}})
    assert entries["beat_schedule"].keys() == {*OURS["beat_schedule"], "mine"}
    assert entries["beat_schedule"]["settle lost runs"] == sweep


@pytest.mark.parametrize(
    "theirs",
    [
        [Queue("mine"), Queue(REFRESH_QUEUE, Exchange("other"))],
        {"mine": {"routing_key": "m"}, REFRESH_QUEUE: {}},
    ],
)
def test_queues_join_seeders_which_stay_as_they_are(theirs: Any) -> None:
    queues = joined(task_queues=theirs)["task_queues"]
    assert queues.keys() == {"mine", CONTROL_QUEUE, REFRESH_QUEUE, f"{REFRESH_QUEUE}.7"}
    assert queues[REFRESH_QUEUE].exchange.name == REFRESH_QUEUE


@pytest.mark.parametrize("form", [dict, lambda routes: [routes], lambda routes: (routes,)])
def test_routes_join_seeders_whose_tasks_stay_on_its_queues(form: Any) -> None:
    theirs = {"seeder.*": {"queue": "elsewhere"}, "mine": {"queue": "mine"}}
    routes = joined(task_routes=form(theirs))["task_routes"]
    assert routes == [*OURS["task_routes"], theirs]


# --- refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FIXED))
def test_what_seeder_can_not_do_without_is_refused_by_name(name: str) -> None:
    with pytest.raises(CelerySettingFixed, match=name):
        joined(**{name: "another"})
    with pytest.raises(CelerySettingFixed, match="priority_steps"):
        joined(broker_transport_options={"priority_steps": [0, 1]})


def test_it_may_be_repeated() -> None:
    same = {name: OURS[name] for name in FIXED if name in OURS}
    assert "task_acks_late" in same
    assert joined(**same).keys() == OURS.keys() - same.keys()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_module", "celeryconfig.py can't be used: ModuleNotFoundError: No module named"),
        ("worker_concurrency = (", "celeryconfig.py can't be used: SyntaxError: "),
        ("1 / 0", "celeryconfig.py can't be used: ZeroDivisionError: "),
        ("raise AttributeError('x')", "celeryconfig.py can't be used: AttributeError: x"),
        ("CELERYD_CONCURRENCY = 7\nworker_pool = 'prefork'", "Cannot mix new and old setting keys"),
    ],
)
def test_one_that_can_not_be_read_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "celeryconfig.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(CeleryConfigUnusable, match=re.escape(words)):
        Loader(None).config_from_object(MODULE)
    sys.modules.pop(MODULE, None)


def test_a_worker_says_in_one_line_why_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text("task_acks_late = True")
    words = "celeryconfig.py sets task_acks_late, which stays as seeder sets it: "
    assert stop(tmp_path).startswith(words)


def test_an_address_that_celery_would_prefer_to_seeders_is_refused(tmp_path: Path) -> None:
    line = stop(tmp_path, CELERY_BROKER_URL="amqp://elsewhere", CELERY_BROKER_WRITE_URL=BROKER)
    assert line.startswith("CELERY_BROKER_URL is set in the environment")
