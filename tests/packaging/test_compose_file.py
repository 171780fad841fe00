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
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry
from sqlalchemy.engine import make_url
from support.contract import platform_on
from support.emptied import fresh_database
from support.homes import ask_postgres

from seeder.config.settings import Settings
from seeder.diagnosis.check import check_manifests
from seeder.matviews import bring_up_to_date, policy_of
from seeder.matviews.locks import lock
from seeder.postgres.session import MAY_REPORT
from seeder.seedings.planning import Selection

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


#: Service → the secrets that it can do nothing without.
SECRETS = {
    "postgres": {"POSTGRES_PASSWORD", "DATABASE_PASSWORD"},
    "redis": {"REDIS_PASSWORD"},
    "worker": {"DATABASE_PASSWORD", "REDIS_PASSWORD"},
    "beat": {"REDIS_PASSWORD"},
    "flower": {"REDIS_PASSWORD", "FLOWER_PASSWORD"},
    "web": {"DATABASE_PASSWORD", "REDIS_PASSWORD", "SEEDER_API_TOKEN"},
    "seeder": {"DATABASE_PASSWORD", "REDIS_PASSWORD"},
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_secret_but_those_it_needs(name: str) -> None:
    named = yaml.load(VARIABLE.sub(lambda found: f"<{found[1]}>", TEXT), OnceOnly)  # noqa: S506 - as above
    service = named["services"][name]
    its = [service, *(named["configs"][one["source"]] for one in service.get("configs", []))]
    assert set(re.findall(r"<(\w+(?:PASSWORD|TOKEN))>", json.dumps(its))) == SECRETS[name]
    # .env has them all; Compose reads it by itself.
    files = {one["path"] for one in service.get("env_file", [])}
    assert files <= {"seeder.env", "databases.env"}
    assert "databases.env" not in files or "DATABASE_PASSWORD" in SECRETS[name]


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_on_a_command_line(name: str) -> None:
    service = SERVICES[name]
    typed = [service.get("command"), service.get("entrypoint"), service.get("healthcheck", {}).get("test")]
    assert "secret" not in json.dumps(typed)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_and_gains_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"(\d+[mg]|secret)", service["mem_limit"])
    assert service["pids_limit"]
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    if name in OURS:
        assert service["cap_drop"] == ["ALL"]


def test_an_image_of_others_is_named_with_its_whole_version_or_its_digest() -> None:
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) == 3
    for image in images:
        assert re.search(r":\d+\.\d+(\.\d+)?(-[a-z-]+)?$|@sha256:[0-9a-f]{64}$", image), image


def test_redis_takes_its_configuration_and_asks_for_the_password(tmp_path: Path) -> None:
    program = shutil.which("redis-server")
    if program is None:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain("redis-server is not installed: apt-get install redis-server")
    file = tmp_path / "redis.conf"
    file.write_text(COMPOSE["configs"]["redis"]["content"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    server = subprocess.Popen([str(program), file, *places], stdout=subprocess.DEVNULL)
    try:
        with Redis(port=port, password="secret", retry=Retry(ConstantBackoff(0.05), 200)) as client:
            said = {name: client.config_get(name)[name] for name in ("maxmemory-policy", "appendonly")}
            assert said == {"maxmemory-policy": "noeviction", "appendonly": "yes"}
            memory = int(client.config_get("maxmemory")["maxmemory"])
        assert 0 < memory < 512 * 2**20 == int(SERVICES["redis"]["mem_limit"].removesuffix("m")) * 2**20
        with Redis(port=port) as client, pytest.raises(AuthenticationError):
            client.ping()
    finally:
        server.terminate()
        server.wait(10)


def test_manifests_run_as_a_role_that_reads_only_what_it_is_granted(
    postgres15_url: str, tmp_path: Path
) -> None:
    """The SQL of the file, by psql as the image runs it; under other names, for roles are the server's."""
    login, manifests = "compose_login", "compose_reports"
    text = re.sub(r"\bseeder\b", login, COMPOSE["configs"]["roles"]["content"])
    text = re.sub(r"\breports\b", manifests, text)
    with fresh_database(postgres15_url) as url:
        server = make_url(url).set(drivername="postgresql")
        script = tmp_path / "roles.sql"
        script.write_text(text.replace("database reporting", f'database "{server.database}"'))
        shown = server.render_as_string(hide_password=False)
        try:
            subprocess.run(
                ["psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--quiet", "-f", script, shown],
                env=os.environ | {"DATABASE_PASSWORD": "secret"},
                check=True,
            )
            ours = server.set(username=login, password="secret", drivername="postgresql+psycopg2")
            with platform_on(ours.render_as_string(hide_password=False)) as platform:
                ask_postgres(
                    shown, f"create table public.k as select 1 as id; grant select on public.k to {manifests}"
                )
                platform.custom(1, query="select id from public.k")
                platform.custom(2, query="select rolname, rolpassword from pg_authid")
                policy = policy_of(Settings(manifest_role=manifests))
                found = check_manifests(platform.databases, platform.all_manifests(), Selection(), policy)
                assert found.warnings == ()
                assert [one.problem.splitlines()[0] for one in found.problems] == [
                    "42501: permission denied for table pg_authid"
                ]
                manifest = platform.all_manifests()[0]
                with platform.databases.session() as session:
                    there = lock.take(session, manifest.matview, "seeder n1.custom-1 0", policy.limits)
                    assert bring_up_to_date(session, manifest, there, policy).figures.records == 1
                    lock.release(session, manifest.matview)
                    assert session.row(MAY_REPORT).allowed
                owner = "select pg_get_userbyid(relowner) from pg_class where relname = 'report_1'"
                assert ask_postgres(shown, owner) == manifests
        finally:
            for role in (manifests, login):
                ask_postgres(shown, f"drop owned by {role} cascade")
                ask_postgres(shown, f'alter database "{server.database}" owner to current_user')
                ask_postgres(shown, f"drop role {role}")


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
    name_of: str, folder: Path, database_url: str, broker_url: str
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

    given = {
        "SEEDER_DATABASE_URL": database_url,
        "SEEDER_BROKER_URL": broker_url,
        "SEEDER_API_TOKEN": "for-this-test-only",
        "FLOWER_BASIC_AUTH": SERVICES["flower"]["environment"]["FLOWER_BASIC_AUTH"],
    }
    # What the file gives it, so that none does with less than it needs.
    environment = os.environ | {
        **{name: value for name, value in given.items() if name in SERVICES[name_of]["environment"]},
        # Docker sets it in every container.
        "HOSTNAME": socket.gethostname(),
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
    }
    kind, *check = here(SERVICES[name_of]["healthcheck"]["test"])
    check = ["sh", "-c", *check] if kind == "CMD-SHELL" else check

    def health() -> subprocess.CompletedProcess[str]:
        return subprocess.run(check, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    log = folder / "log"
    with log.open("w") as output:
        service = subprocess.Popen(
            here(SERVICES[name_of]["command"]), cwd=ROOT, env=environment, stdout=output, stderr=output
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
