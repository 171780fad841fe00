"""What is private to other packages: there in what is installed, in one table, and touched in two folders."""

import inspect
import re
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from support.foreign_names import (
    AT_HOME,
    PACKAGE,
    listed,
    owner_of,
    resolved,
    sets_attribute,
    signature,
    touched,
)

from seeder.broker.insides import INSIDES, SEEN, Inside
from seeder.broker.insides.behaviour import BEHAVIOUR, Behaviour

ROOT = PACKAGE.parent


def test_no_name_stands_there_twice() -> None:
    names = [one.name for one in INSIDES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("inside", INSIDES, ids=lambda one: one.name)
def test_each_name_is_there_and_is_called_as_before(inside: Inside) -> None:
    owner, attribute = owner_of(inside.name)
    holder = resolved(owner)
    assert hasattr(holder, attribute) or sets_attribute(holder, attribute)
    value = getattr(holder, attribute, None)
    if callable(value) and not inspect.isclass(value):
        beginning, cut, _ = inside.signature.partition("…")
        assert beginning
        assert signature(value).startswith(beginning) if cut else signature(value) == beginning
    else:
        assert inside.signature == ""


@pytest.mark.parametrize(
    "name",
    [
        "celery.worker.request:Request._gone",
        "celery.nowhere:Request.cancel",
        "celery.worker.request:Gone.cancel",
    ],
)
def test_a_name_that_is_gone_is_found_out(name: str) -> None:
    with pytest.raises((AssertionError, ImportError)):
        test_each_name_is_there_and_is_called_as_before(Inside(name, ""))


def test_another_signature_is_found_out() -> None:
    with pytest.raises(AssertionError):
        test_each_name_is_there_and_is_called_as_before(
            Inside("celery.worker.request:Request.on_timeout", "", "(self, timeout)")
        )


def test_the_table_lists_nothing_that_is_not_used() -> None:
    code = "\n".join(
        path.read_text()
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)).startswith(AT_HOME) and path.parent.name != "insides"
    )
    assert [one.name for one in INSIDES if not re.search(rf"\b{owner_of(one.name)[1]}\b", code)] == []


@pytest.mark.parametrize("behaviour", BEHAVIOUR, ids=lambda one: one.what)
def test_each_behaviour_has_a_test_of_its_own(behaviour: Behaviour) -> None:
    assert behaviour.package in SEEN
    file, _, test = behaviour.held_by.partition("::")
    assert f"\ndef {test}(" in (ROOT / file).read_text()


def test_no_version_comes_in_unasked_that_may_take_them_away() -> None:
    """Celery and kombu change their insides with minor versions, uvicorn counts from 0 so far."""
    texts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    required = {one.name: one.specifier for one in map(Requirement, texts)}
    for package, next_one in (("celery", "5.8.0"), ("kombu", "5.8.0"), ("uvicorn", "1.0.0")):
        assert SEEN[package] in required[package]
        assert next_one not in required[package]
        assert version(package) in required[package]


# --- the table and the code --------------------------------------------------------------------------------


def test_only_these_folders_touch_insides_and_only_those_of_the_table() -> None:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        place = str(path.relative_to(PACKAGE))
        names = touched(path.read_text()) if not place.startswith("broker/insides/") else iter(())
        if unlisted := [name for name in names if not (place.startswith(AT_HOME) and listed(name))]:
            found[place] = unlisted
    assert found == {}, (
        "what is undocumented belongs into broker/ (uvicorn's into web/serving/), and its table"
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from celery.worker.state import maybe_shutdown", ["celery.worker.state:maybe_shutdown"]),
        ("import celery.worker.state", ["celery.worker.state"]),
        ("from billiard.exceptions import WorkerLostError", ["billiard.exceptions:WorkerLostError"]),
        ("def look(channel): return channel._q_for_pri('x', 0)", ["._q_for_pri"]),
        ("def look(channel): return channel.conn_or_acquire()", [".conn_or_acquire"]),
        ("logging.getLogger('celery.app.trace')", ["'celery.app.trace'"]),
        (
            "from celery.worker.request import Request\nclass R(Request):\n def on_timeout(self): self.task",
            ["celery.worker.request:Request.on_timeout", "celery.worker.request:Request.task"],
        ),
        (
            "import uvicorn\nclass S(uvicorn.Server):\n    def run(self): self.lifespan",
            ["uvicorn:Server.lifespan", "uvicorn:Server.run"],
        ),
    ],
)  # fmt: skip
def test_what_is_touched_is_found(text: str, names: list[str]) -> None:
    assert sorted(touched(text)) == sorted(names)


@pytest.mark.parametrize(
    "text",
    [
        "from celery import Celery, signals\nfrom celery.exceptions import Retry",
        "class Own:\n    def _mine(self): return self._mine()",
        "def facts(row): return row._asdict()",
        "from celery import bootsteps\nclass Step(bootsteps.StartStopStep):\n def start(self, _): ...",
    ],
)
def test_what_is_documented_or_ones_own_is_let_pass(text: str) -> None:
    assert list(touched(text)) == []
