"""No password and no token is shown by anything that runs, whatever characters it has: logs, Celery's
commands, Flower, the record, the command line, the API."""

import base64
import json
import traceback
from collections.abc import Iterator
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import psycopg2
import pytest
from celery import Celery
from fastapi.testclient import TestClient
from redis import Redis
from sqlalchemy.engine import make_url
from support.forked import run_module
from support.processes import celery, clean_environment, wait_until
from support.world import World

from seeder.app import celery_settings
from seeder.cli.services import Flower, Web
from seeder.config.settings import Settings, load_settings
from seeder.embedded import Endpoints
from seeder.equipment import Equipment
from seeder.errors import BadSetting
from seeder.web.application import create_app
from seeder.web.security.access import Access

#: Each begins and ends like nothing else.
PASSWORD = "Xq3Z@:/?#%& '\"\\é€Z3qX"
TOKEN = "Tk7Y@:/?#%&'\"\\Y7kT"
SHARDS = ("Xq3Z", "Z3qX", "Tk7Y", "Y7kT")

LOGIN = "flower:watering"
USER = "seeder_test_odd"
ENCODED = quote(PASSWORD, safe="")
NOWHERE = f"postgresql://{USER}:{ENCODED}@127.0.0.1:1/nowhere"
NO_BROKER = f"redis://{USER}:{ENCODED}@127.0.0.1:1/0"


def leaks(text: str) -> list[str]:
    """The lines that show a part of a secret."""
    return [line for line in text.splitlines() if any(shard in line for shard in SHARDS)]


@pytest.fixture(scope="module")
def world(
    module_database_url: str, module_broker_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A platform whose servers let the user in by that password."""
    plain = make_url(module_database_url).set(drivername="postgresql")
    administrator = psycopg2.connect(plain.render_as_string(hide_password=False))
    administrator.autocommit = True
    broker = make_url(module_broker_url)
    with administrator.cursor() as cursor, Redis.from_url(module_broker_url) as redis:
        cursor.execute(f"drop role if exists {USER}")
        cursor.execute(f"create role {USER} superuser login password %s", (PASSWORD,))
        redis.acl_setuser(
            USER, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], channels=["*"], commands=["+@all"]
        )
        world = World(
            plain.set(username=USER, password=PASSWORD).render_as_string(hide_password=False),
            f"redis://{USER}:{ENCODED}@{broker.host}:{broker.port}/{broker.database}",
            tmp_path_factory.mktemp("world"),
            databases=json.dumps({"7": NOWHERE}),
            api_token=TOKEN,
            max_retries="0",
        )
        try:
            yield world
        finally:
            world.close()
            redis.acl_deluser(USER)
            cursor.execute(
                f"reassign owned by {USER} to current_user; drop owned by {USER}; drop role {USER}"
            )
            administrator.close()


@pytest.fixture(scope="module")
def ran(world: World) -> Iterator[SimpleNamespace]:
    """A worker that talks a lot and has had trouble, and Flower beside it."""
    world.custom("good")
    world.custom("unreachable", database_id=7)
    world.custom("wrong", "select 1 / 0")
    flower = celery("flower", "--address=127.0.0.1", "--port=0", f"--basic-auth={LOGIN}", "--debug")
    with (
        world.worker("-E", "-l", "DEBUG") as worker,
        world.process("flower", flower, "Visit me at") as shown,
    ):
        seeding = world.seed()
        runs = world.wait_for_end([f"{seeding.seeding_id}.custom-{one}" for one in numbers(world)])
        yield SimpleNamespace(worker=worker, flower=shown, runs=runs)


def numbers(world: World) -> list[int]:
    return [row.id for row in world.sql("select id from reporting.seeder_custom_report_manifest order by id")]


def said_by(world: World, *command: str, **settings: str) -> str:
    """What a command in a process of its own says, on both channels."""
    done = run_module(command, cwd=world.folder, env=clean_environment({**world.environment, **settings}))
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_workers_log_and_the_record(world: World, ran: SimpleNamespace) -> None:
    log = ran.worker.logs()
    assert f"redis://{USER}:**" in log
    assert "division by zero" in log
    assert leaks(log) == []
    errors = {run.table_name: run.errors for run in ran.runs.values()}
    assert errors["good"] is None
    assert "127.0.0.1" in errors["unreachable"]
    for table in ("seeder_run_history", "seeder_job_status"):
        assert leaks(str(world.sql(f"select * from reporting.{table}"))) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [("report",), ("inspect", "conf")])
@pytest.mark.usefixtures("ran")
def test_celerys_own_commands(world: World, command: tuple[str, ...]) -> None:
    said = said_by(world, "celery", "-A", "seeder", *command)
    assert "worker" in said
    assert leaks(said) == []


@pytest.mark.slow
def test_flower(world: World, ran: SimpleNamespace) -> None:
    address = next(
        line.rpartition(" ")[2] for line in ran.flower.logs().splitlines() if "Visit me at" in line
    )
    workers = wait_until(
        "Flower hears the worker", lambda: json.loads(ask(address, "/api/workers?refresh=1"))
    )
    (name,) = workers
    pages = ["/", "/workers", f"/worker/{name}", "/tasks", "/broker", "/api/tasks", "/api/queues/length"]
    said = {path: ask(address, path) for path in pages}
    assert "broker_url" in json.dumps(workers) or "broker_url" in said[f"/worker/{name}"]
    for path, text in {**said, "/api/workers": json.dumps(workers), "log": ran.flower.logs()}.items():
        assert leaks(text) == [], path


def ask(address: str, path: str) -> str:
    try:
        login = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"
        request = Request(address + path, headers={"Authorization": login})  # noqa: S310 - our own process
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            return str(answer.read().decode())
    except HTTPError as error:
        return error.read().decode()


@pytest.mark.slow
def test_a_workers_log_when_the_broker_is_out_of_reach(world: World) -> None:
    command = celery("worker", "-l", "DEBUG", "-n", "alone@%h", "--without-mingle", "--without-gossip")
    words = f"Cannot connect to redis://{USER}:**@127.0.0.1:1"
    with world.process("worker", command, words, broker_url=NO_BROKER) as worker:
        worker.ready()
        assert leaks(worker.logs()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (("seeder", "check"), {}),
        (("seeder", "status"), {"SEEDER_DATABASE_URL": NOWHERE}),
        (("seeder", "refresh"), {"SEEDER_BROKER_URL": NO_BROKER}),
        (("seeder", "status"), {"SEEDER_DATABASE_URL": f"mysql://user:{ENCODED}@host/name"}),
        (("celery", "-A", "seeder", "report"), {"SEEDER_BROKER_URL": f"amqp://user:{ENCODED}@host"}),
    ],
    ids=["one database is away", "the database is away", "the broker is away", "no URL", "no broker's URL"],
)
def test_the_command_line(world: World, command: tuple[str, ...], settings: dict[str, str]) -> None:
    world.custom("elsewhere", database_id=7)
    said = said_by(world, *command, **settings)
    assert said
    assert "Traceback" not in said
    assert leaks(said) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEEDER_DATABASE_URL", "mysql://user:{}@host/name"),
        ("SEEDER_DATABASE_URL", "postgresql://user:{}@host:port/name"),
        ("SEEDER_DATABASES", '{{"7": "postgresql://user:{}@host/name"'),
        ("SEEDER_DATABASES", '{{"7": "http://user:{}@host/name"}}'),
        ("SEEDER_BROKER_URL", "amqp://user:{}@host"),
        ("SEEDER_BROKER_URL", "redis://user:{}@host:6379:0"),
        ("SEEDER_API_TOKEN", "{} "),
    ],
)
@pytest.mark.parametrize("password", [PASSWORD, ENCODED, TOKEN])
def test_a_setting_that_cannot_be_used(
    name: str, value: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value.format(password))
    try:
        said = repr(load_settings())
    except BadSetting as error:
        said = "".join(traceback.format_exception(error))
    # To Redis' URLs a # ends what is read, so some of these can be used.
    assert "can't be used" in said or name == "SEEDER_BROKER_URL"
    assert leaks(said) == []


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SEEDER_DATABASES", json.dumps({"7": NOWHERE}))
    return load_settings(database_url=NOWHERE, broker_url=NO_BROKER, api_token=TOKEN)


def test_what_values_look_like(settings: Settings) -> None:
    equipment = Equipment(settings, NOWHERE)
    values = [
        settings,
        {"settings": settings},
        equipment,
        vars(equipment),
        equipment.databases.engine(),
        equipment.databases.engine(7),
        Access(loopback=True, token=TOKEN),
        Endpoints(NOWHERE, NO_BROKER),
        Flower(5555, "seeder", TOKEN),
        Web(8080, TOKEN, "http://127.0.0.1:5555"),
    ]
    for value in values:
        for shown in (repr(value), str(value), f"{value}"):
            assert leaks(shown) == []
    assert repr(settings).count("***") == 4
    assert "127.0.0.1:1/nowhere" in repr(settings)


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_the_api_and_its_pages(settings: Settings, accept: str) -> None:
    app = Celery("tests", set_as_current=False)
    app.conf.update(celery_settings(settings, NO_BROKER))
    app.conf.update(broker_connection_timeout=1, broker_transport_options={"max_retries": 0})
    paths = ["/", "/api/jobs", "/api/jobs/good", "/api/history", "/api/summary", "/readyz", "/nowhere"]
    api = create_app(Equipment(settings, NOWHERE), app, Access(loopback=True, token=TOKEN))
    with TestClient(api, base_url="http://localhost:8080", raise_server_exceptions=False) as client:
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}):
            for path in paths:
                answer = client.get(path, headers={"Accept": accept, **headers})
                assert leaks(answer.text + str(answer.headers)) == []
        refused = client.post("/api/refresh", headers={"Authorization": f"Bearer {TOKEN}"})
        assert refused.status_code in (404, 503)
        assert leaks(refused.text) == []
    app.close()
