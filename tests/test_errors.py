"""Errors: every message is whole, wherever it is raised, and survives the way from one process to another."""

import ast
import copy
import importlib
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeder import errors
from seeder.errors import (
    Fact,
    FieldMissing,
    ManifestError,
    MatviewBusy,
    SeederError,
    TemporaryError,
    TurnAwaited,
    UserError,
)

ROOT = Path(__file__).parent.parent
SOURCES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "seeder").rglob("*.py"))}
BRANCHES = {SeederError, UserError, ManifestError, TemporaryError, TurnAwaited}


def declared() -> Iterator[type[SeederError]]:
    """Every error of ours, those that a command declares for itself too."""
    classes = {
        node.name: (path, [base.id for base in node.bases if isinstance(base, ast.Name)])
        for path, tree in SOURCES.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    ours = {"SeederError"}
    while more := {name for name, (_, bases) in classes.items() if ours.intersection(bases)} - ours:
        ours |= more
    for name in sorted(ours):
        module = ".".join(classes[name][0].relative_to(ROOT).with_suffix("").parts)
        yield getattr(importlib.import_module(module.removesuffix(".__init__")), name)


def gaps(kind: type[SeederError]) -> set[str]:
    """The facts that the message shows."""
    return {name for _, name, _, _ in Formatter().parse(kind.__doc__ or "") if name is not None}


def facts(kind: type[SeederError]) -> set[str]:
    """And those that the program reads."""
    read = (name for one in kind.__mro__ for name, value in vars(one).items() if isinstance(value, Fact))
    return gaps(kind) | set(read)


ERRORS = {kind.__name__: kind for kind in declared()}
FILLED = [kind(**{fact: f"<{fact}>" for fact in facts(kind)}) for kind in ERRORS.values()]
by_name = pytest.mark.parametrize("error", FILLED, ids=lambda error: type(error).__name__)


def raise_sites() -> Iterator[tuple[str, type[SeederError], list[ast.keyword], list[ast.expr]]]:
    """Where an error is made, which, and with what."""
    for path, tree in SOURCES.items():
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                given_facts, positional, name = node.keywords, node.args, node.func
            elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id in ERRORS:
                given_facts, positional, name = [], [], node.exc
                assert id(name) not in called
            else:
                continue
            yield f"{path.relative_to(ROOT)}:{name.lineno}", ERRORS[name.id], given_facts, positional


SITES = [pytest.param(*site[1:], id=f"{site[0]} {site[1].__name__}") for site in raise_sites()]


@pytest.mark.parametrize(("kind", "given_facts", "positional"), SITES)
def test_whoever_raises_an_error_gives_exactly_the_facts_that_are_shown_or_read(
    kind: type[SeederError], given_facts: list[ast.keyword], positional: list[ast.expr]
) -> None:
    named = {fact.arg for fact in given_facts if fact.arg is not None}
    assert positional == []
    if len(named) == len(given_facts):
        assert named == facts(kind)
    else:
        # `**error.facts`: the rest are all the facts of another error.
        assert named < facts(kind)
        assert facts(kind) - named in [facts(other) for other in ERRORS.values()]


def test_every_place_was_looked_at() -> None:
    """A new way to raise an error must not escape the test above."""
    raised = sum(
        isinstance(node, ast.Raise) and any(name in ast.unparse(node) for name in ERRORS)
        for tree in SOURCES.values()
        for node in ast.walk(tree)
    )
    assert len(SITES) >= raised > 30


def test_no_error_is_left_that_nobody_raises() -> None:
    used = {
        node.id
        for path, tree in SOURCES.items()
        if path.parent.name != "errors"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    }
    assert set(ERRORS) - used - {kind.__name__ for kind in BRANCHES} == set()


@by_name
def test_a_message_is_one_line_of_whole_sentences_with_every_fact(error: SeederError) -> None:
    message = str(error)
    assert "\n" not in message
    assert "  " not in message
    assert not re.search(r"[{}]", message)
    assert all(f"<{gap}>" in message for gap in gaps(type(error)))
    assert re.search(r"[.>]$", message)


@by_name
def test_an_error_that_lacks_a_fact_can_not_be_made(error: SeederError) -> None:
    for gap in gaps(type(error)):
        with pytest.raises(KeyError, match=gap):
            type(error)(**dict.fromkeys(gaps(type(error)) - {gap}, 1))


@by_name
def test_an_error_comes_whole_out_of_another_process(error: SeederError) -> None:
    pickled = [pickle.dumps(error, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in [copy.deepcopy(error), *map(pickle.loads, pickled)]:
        assert type(again) is type(error)
        assert (str(again), again.facts, again.args) == (str(error), error.facts, error.args)


@by_name
def test_every_error_is_of_exactly_one_branch_or_of_none(error: SeederError) -> None:
    """None: a bug, or no failure at all."""
    branches = [kind for kind in (UserError, ManifestError, TemporaryError) if isinstance(error, kind)]
    assert len(branches) == (type(error) not in (SeederError, errors.Duplicate))


def test_no_fact_changes_after_the_message_is_made() -> None:
    given_facts = {"table_name": "sales", "holder": "run n1", "session_name": "seeder n1"}
    busy = MatviewBusy(**given_facts)
    said = str(busy)
    given_facts["table_name"] = "another"
    assert (busy.table_name, busy.session_name) == ("sales", "seeder n1")
    with pytest.raises(TypeError):
        busy.facts["table_name"] = "another"  # type: ignore[index]
    with pytest.raises(AttributeError, match="table_name"):
        busy.table_name = "another"
    assert str(busy) == said


@given(field=st.text())
def test_a_fact_is_shown_as_it_is_braces_and_all(field: str) -> None:
    assert f"has no {field}. Fill {field} in its row." in str(FieldMissing(field=field))


@pytest.mark.parametrize("program", [["-m", "seeder", "--help"], ["-c", "import seeder.matviews.locks.lock"]])
def test_without_docstrings_there_are_no_messages_so_nothing_starts(program: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-OO", *program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("seeder: python -OO ")
    assert "Traceback" not in done.stderr
