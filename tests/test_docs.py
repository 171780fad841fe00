"""What a person can use is documented: settings, commands with their options, tasks with their arguments."""

import ast
import re
from pathlib import Path

import pytest
from typer.main import get_command

from seeder.cli.commands import application
from seeder.config.settings import Settings, variable_name

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMANDS = (ROOT / "docs" / "commands.md").read_text()


def commands(group, words=("seeder",)):
    """Every command that does something, with its words."""
    found = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += commands(command, (*words, name))
        else:
            found.append(((*words, name), command))
    return found


@pytest.mark.parametrize("field", list(Settings.model_fields))
def test_a_setting_is_documented_with_its_meaning(field: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    row = re.search(rf"^\| `{variable_name(field)}` \| .* \| (.*) \|$", page, re.MULTILINE)
    assert row, f"{variable_name(field)} has no row in docs/configuration.md"
    assert row[1] == Settings.model_fields[field].description


@pytest.mark.parametrize(("words", "command"), commands(get_command(application)))
def test_a_command_is_documented_with_its_options(words: tuple[str, ...], command) -> None:
    row = re.search(rf"^\| `{' '.join(words)}\b.*$", COMMANDS, re.MULTILINE)
    assert row, f"{' '.join(words)} has no row in docs/commands.md"
    for option in command.params:
        name = option.opts[0] if option.opts[0].startswith("--") else option.name.upper()
        assert name in row[0], f"{' '.join(words)}: {name}"


def declared_tasks():
    """Name and function of each task, from the source: an app would read its configuration."""
    for node in ast.parse((ROOT / "seeder" / "tasks.py").read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            named = {word.arg: word.value for word in node.decorator_list[0].keywords}
            yield pytest.param(named["name"].value, node, id=named["name"].value)


@pytest.mark.parametrize(("name", "function"), list(declared_tasks()))
def test_a_task_is_documented_with_its_arguments(name: str, function: ast.FunctionDef) -> None:
    row = re.search(rf"^\| `{re.escape(name)}` \|(.*)\| `seeder\.\w+` \|$", COMMANDS, re.MULTILINE)
    assert row, f"{name} has no row in docs/commands.md"
    if name != "seeder.refresh_manifest":  # never called by hand
        named = re.findall(r"(\w+)(?:=None)?", row[1].strip("` "))
        assert named == [argument.arg for argument in function.args.args]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_commands_that_the_readme_names_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    known = {words[1] for words, _ in commands(get_command(application))}
    assert {name for name in re.findall(r"seeder (\w+)", readme) if name in known} >= {"status", "refresh"}
    for line in re.findall(r"^ {4}\.venv/bin/seeder (\w+)", readme, re.MULTILINE):
        assert line in known
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"^ {4}make (\S+)", readme, re.MULTILINE):
        assert target in targets


def test_the_commands_that_contributing_names_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)\b(?= LOCK_ARGS|`|$)", page, re.MULTILINE))
    assert named >= {"env", "lint", "test", "test-fast", "lock"}
    assert named <= targets
    for path in re.findall(r"\btests/[\w/.]+", page):
        assert (ROOT / path).exists(), f"CONTRIBUTING.md names {path}"
    assert "contributing](CONTRIBUTING.md)" in (ROOT / "README.md").read_text()


def test_each_file_that_the_architecture_names_is_there() -> None:
    """One without a folder lies in the folder that was named last, or beside the folders."""
    page, folder, gone = (ROOT / "docs" / "architecture.md").read_text(), ROOT / "seeder", []
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", page.partition("the end of the layers")[2]):
        here = ROOT / name if name.startswith("tests/") else ROOT / "seeder" / name
        if here.exists():
            folder = here if here.is_dir() else here.parent
        elif not (folder / name).exists():
            gone.append(name)
    assert gone == []
