"""The two lock files fit pyproject.toml, on every Python and system that is supported."""

import re
import tomllib
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

RUNTIME = PROJECT["build-system"]["requires"] + PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
NEEDED = {
    "requirements.lock": RUNTIME,
    "requirements-dev.lock": RUNTIME + [line for extra in EXTRAS.values() for line in extra],
}
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    for python, (system, machine) in product(
        ["3.11", "3.12", "3.13", "3.14"],
        [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64")],
    )
]


def entries(name: str) -> list[tuple[Requirement, list[str]]]:
    """Each pinned package of a lock file with its hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [
        (Requirement(line.split(" --hash=")[0].strip()), re.findall(r"--hash=(\S+)", line)) for line in lines
    ]


def pins(name: str, environment: dict[str, str]) -> dict[str, str]:
    """What is installed from a lock file there: package to version."""
    found = {}
    for entry, _ in entries(name):
        if entry.marker is None or entry.marker.evaluate(environment):
            (pin,) = entry.specifier
            assert pin.operator == "=="
            assert found.setdefault(canonicalize_name(entry.name), pin.version) == pin.version
    return found


@pytest.mark.parametrize("name", NEEDED)
def test_what_the_project_asks_for_is_locked_within_its_range(name: str) -> None:
    for environment in ENVIRONMENTS:
        locked = pins(name, environment)
        for asked in map(Requirement, NEEDED[name]):
            if asked.marker is None or asked.marker.evaluate(environment):
                version = locked.get(canonicalize_name(asked.name))
                assert version, f"{asked} is not in {name} for {environment}: make lock"
                assert asked.specifier.contains(version), f"{asked}, but {name} has {version}: make lock"


@pytest.mark.parametrize("name", NEEDED)
def test_every_locked_package_has_a_hash(name: str) -> None:
    assert len(entries(name)) > 20
    for entry, hashes in entries(name):
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), entry


def test_the_tools_lock_holds_exactly_the_runtime_versions() -> None:
    for environment in ENVIRONMENTS:
        assert (
            pins("requirements.lock", environment).items()
            <= pins("requirements-dev.lock", environment).items()
        )


@pytest.mark.parametrize("name", NEEDED)
def test_no_lock_names_a_host_or_a_folder(name: str) -> None:
    for forbidden in ("://", "file:", "--index", "--extra-index", "--find-links", "--trusted-host", " @ "):
        assert forbidden not in (ROOT / name).read_text()
