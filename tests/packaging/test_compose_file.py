"""docker-compose.yml and the Dockerfile, as far as they can be checked without an engine, and further where
there is one."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.celery import celery as celery_program
from compose_spec import PyCompose
from flower.options import default_options as flower_options
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROGRAMS = Path(sysconfig.get_path("scripts"))
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")
OURS = ("worker", "beat", "flower", "web", "seeder")


class OnceOnly(yaml.SafeLoader):
    """PyYAML lets a key that is given twice pass; Compose doesn't."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # Before merging: a merged key may well be given again, that is what merging is for.
        if not any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            assert len(keys) == len(set(keys)), f"a key twice, {node.start_mark}"
        return super().construct_mapping(node, deep)


def filled_in() -> dict[str, Any]:
    """The file as Compose sees it: variables replaced, ``<<`` merged, ``$$`` still there."""
    text = VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "secret", TEXT)
    content: dict[str, Any] = yaml.load(text, OnceOnly)  # noqa: S506 - derived from the safe loader
    return content


COMPOSE = filled_in()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LONG_RUNNING = [name for name in SERVICES if name != "seeder"]


def test_the_file_keeps_to_the_compose_specification() -> None:
    PyCompose.from_yaml(yaml.safe_dump(COMPOSE)).validate()


def test_what_the_file_refers_to_is_defined_in_it() -> None:
    volumes = set()
    for name, service in SERVICES.items():
        assert "image" in service or "build" in service, name
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        volumes |= {volume.split(":")[0] for volume in service.get("volumes", [])}
    assert volumes == set(COMPOSE["volumes"])


def test_a_service_waits_only_for_services_that_can_become_healthy() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "test" in SERVICES[needed]["healthcheck"]


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_service_is_watched_restarted_and_given_time_to_stop(name: str) -> None:
    service = SERVICES[name]
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]


def test_nothing_is_published_beyond_the_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:5555:5555", "127.0.0.1:8080:8080"]


def test_a_password_is_never_in_the_file_and_never_empty() -> None:
    for name, how, _ in VARIABLE.findall(TEXT):
        assert how == ("?" if name.endswith(("PASSWORD", "TOKEN")) else "-"), name
    assert not re.search(r"(?i)passw\w*['\"]?[:=]\s*[\"']?(?!\$\{)\w", TEXT)


@pytest.mark.parametrize("name", ["worker", "beat", "flower"])
def test_a_celery_command_is_one_that_celery_has(name: str) -> None:
    program, dash_a, application, subcommand, *options = SERVICES[name]["command"]
    assert (program, dash_a, application) == ("celery", "-A", "seeder")
    if subcommand == "flower":
        # Flower hands its options on to tornado unseen.
        assert {option.split("=")[0].removeprefix("--").replace("-", "_") for option in options} <= set(
            flower_options
        )
    else:
        command = celery_program.commands[subcommand]
        command.make_parser(command.context_class(command)).parse_args(options)


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_a_celery_health_check_is_one_that_celery_has(name: str) -> None:
    kind, line = SERVICES[name]["healthcheck"]["test"]
    program, dash_a, application, subcommand, *options = shlex.split(line)
    assert (kind, program, dash_a, application, subcommand) == (
        "CMD-SHELL",
        "celery",
        "-A",
        "seeder",
        "inspect",
    )
    command = celery_program.commands[subcommand]
    options_found, _, _ = command.make_parser(command.context_class(command)).parse_args(options)
    assert options_found["command"] == "ping"


def test_the_words_of_the_command_line_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    typed = [
        SERVICES["seeder"]["entrypoint"] + SERVICES["seeder"]["command"],
        SERVICES["web"]["command"],
        *(json.loads(words) for words in re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)),
        *(words.split() for words in re.findall(r"^\t@\.venv/bin/(seeder .+)$", makefile, re.MULTILINE)),
    ]
    assert len(typed) == 5
    for program, *words in typed:
        shown = subprocess.run(
            [PROGRAMS / program, *words, "--help"], capture_output=True, text=True, check=False
        )
        assert shown.returncode == 0, shown.stderr


def test_the_image_is_given_every_file_it_copies_and_no_secret() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert set(copied) == allowed
    assert all((ROOT / source).exists() for source in copied)
    assert not any(fnmatch(name, pattern) for name in (".env", ".seeder") for pattern in allowed)


def test_the_image_runs_a_supported_python_as_a_normal_user() -> None:
    (version,) = re.findall(r"^FROM python:([0-9.]+)-slim", DOCKERFILE, re.MULTILINE)
    supported = re.search(r'requires-python = "(.+)"', (ROOT / "pyproject.toml").read_text())
    assert supported
    assert SpecifierSet(supported[1]).contains(version)
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["seeder"]
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE


@contextmanager
def running(
    name: str, folder: Path, database_url: str, broker_url: str
) -> Iterator[Callable[[], subprocess.CompletedProcess[str]]]:
    """A service of ours as a process with the file's own command; yields its health check."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def here(words: list[str]) -> list[str]:
        replaced = {
            "/state/": f"{folder}/",
            "5555": str(port),
            "8080": str(port),
            "=0.0.0.0": "=127.0.0.1",
            "$$": "$",
            "--timeout 10": "--timeout 2",
        }
        for old, new in replaced.items():
            words = [word.replace(old, new) for word in words]
        return words

    environment = os.environ | {
        "SEEDER_DATABASE_URL": database_url,
        "SEEDER_BROKER_URL": broker_url,
        "SEEDER_API_TOKEN": "for-this-test-only",
        "FLOWER_BASIC_AUTH": SERVICES["flower"]["environment"]["FLOWER_BASIC_AUTH"],
        # Docker sets it in every container.
        "HOSTNAME": socket.gethostname(),
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
    }
    kind, *check = here(SERVICES[name]["healthcheck"]["test"])
    check = ["sh", "-c", *check] if kind == "CMD-SHELL" else check

    def health() -> subprocess.CompletedProcess[str]:
        return subprocess.run(check, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    log = folder / "log"
    with log.open("w") as output:
        service = subprocess.Popen(
            here(SERVICES[name]["command"]), cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 60
        while (answer := health()).returncode != 0:
            assert time.monotonic() < deadline, log.read_text() + answer.stderr
            assert service.poll() is None, log.read_text()
            time.sleep(0.2)
        yield health
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0, log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["worker", "beat", "flower", "web"])
def test_a_service_becomes_healthy_stops_on_sigterm_and_then_is_not(
    name: str, tmp_path: Path, database_url: str, broker_url: str
) -> None:
    with running(name, tmp_path, database_url, broker_url) as health:
        pass
    assert health().returncode != 0


@pytest.mark.slow
def test_flower_asks_for_the_password(tmp_path: Path, database_url: str, broker_url: str) -> None:
    with running("flower", tmp_path, database_url, broker_url) as health:
        port = re.search(r"127\.0\.0\.1:(\d+)", " ".join(map(str, health().args)))
        assert port
        for headers, status in [
            ({}, 401),
            ({"Authorization": basic("seeder:wrong")}, 401),
            ({"Authorization": basic("seeder:secret")}, 200),
        ]:
            connection = HTTPConnection("127.0.0.1", int(port[1]), timeout=10)
            connection.request("GET", "/", headers=headers)
            assert connection.getresponse().status == status
            connection.close()


def basic(credentials: str) -> str:
    return "Basic " + b64encode(credentials.encode()).decode()


def docker_compose() -> str | None:
    """Why ``docker compose`` can't be asked, or None."""
    if shutil.which("docker") is None:
        return "there is no docker program"
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False)
    return None if asked.returncode == 0 else "this docker has no compose plugin"


def test_docker_compose_accepts_the_file() -> None:
    if reason := docker_compose():
        pytest.skip(f"docker compose config was not run: {reason}")
    environment = {name: "secret" for name, how, _ in VARIABLE.findall(TEXT) if how == "?"}
    accepted = subprocess.run(
        ["docker", "compose", "--file", ROOT / "docker-compose.yml", "config", "--quiet"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert accepted.returncode == 0, accepted.stderr
