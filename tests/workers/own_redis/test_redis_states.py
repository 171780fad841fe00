"""A Redis that answers, but takes no message: workers and beat say so once, wait, and go on when it does."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from support.processes import Process, Worker, celery, wait_until
from support.world import World

from seeder.embedded.redis import _candidates
from seeder.errors import NotPublished

pytestmark = pytest.mark.slow

SETTINGS = {"retry_backoff_max": "1"}

Change = Callable[[Any], object]


@dataclass(frozen=True)
class State:
    """How a Redis gets into a state and out of it again, by a client that keeps its connection."""

    enter: Change
    leave: Change
    #: What Redis replies in it.
    says: str
    #: The first word on a connection (PING) is refused already, which Celery tells again at each try.
    refuses_connections: bool = False


def drop_connections(client: Any) -> None:
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def no_room_on_disk(client: Any) -> None:
    """As on a full disk: the snapshot can't be written, since a folder bears its name."""
    (Path(client.config_get("dir")["dir"]) / "taken").mkdir(exist_ok=True)
    client.config_set("dbfilename", "taken")
    client.config_set("save", "3600 1")
    client.bgsave()
    wait_until("it has failed", lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def room_again(client: Any) -> None:
    client.config_set("save", "")
    client.config_set("dbfilename", "dump.rdb")


def run_for_ever(client: Any) -> None:
    """A script of somebody's, which says after 10 ms that it is busy."""
    client.config_set("busy-reply-threshold", "10")
    port = client.connection_pool.connection_kwargs["port"]
    script = "while true do end"
    somebody = subprocess.Popen(
        [sys.executable, "-c", f"import redis; redis.Redis(port={port}).eval({script!r}, 0)"],
        stderr=subprocess.DEVNULL,
    )
    SOMEBODY.append(somebody)
    wait_until("the script runs", lambda: _refused(client, "BUSY"))


def end_script(client: Any) -> None:
    client.script_kill()
    SOMEBODY.pop().wait()


SOMEBODY: list[subprocess.Popen[bytes]] = []


def _refused(client: Any, word: str) -> bool:
    try:
        client.ping()
    except RedisError as error:
        return word in str(error)
    return False


def demoted_and_alone(client: Any) -> None:
    client.config_set("replica-serve-stale-data", "no")
    client.execute_command("REPLICAOF", "127.0.0.1", "1")


def alone_no_more(client: Any) -> None:
    client.execute_command("REPLICAOF", "NO", "ONE")
    client.config_set("replica-serve-stale-data", "yes")


def load_slowly(client: Any) -> None:
    """As after a restart with much data: one key after the other, with a pause after each."""
    client.config_set("loading-process-events-interval-bytes", "1024")
    client.config_set("key-load-delay", "2000")
    port = client.connection_pool.connection_kwargs["port"]
    with Redis(port=port, db=15) as filling:
        filling.mset({f"filling {number}": number for number in range(50_000)})
    somebody = subprocess.Popen(
        [sys.executable, "-c", f"import redis; redis.Redis(port={port}).execute_command('DEBUG', 'RELOAD')"]
    )
    SOMEBODY.append(somebody)
    wait_until("it loads", lambda: client.info("persistence")["loading"])


def load_quickly(client: Any) -> None:
    client.config_set("key-load-delay", "0")
    SOMEBODY.pop().wait()
    with Redis(port=client.connection_pool.connection_kwargs["port"], db=15) as filling:
        filling.flushdb()


STATES = {
    "demoted": State(
        lambda client: client.execute_command("REPLICAOF", "127.0.0.1", "1"),
        lambda client: client.execute_command("REPLICAOF", "NO", "ONE"),
        "read only replica",
    ),
    "demoted, serving nothing": State(demoted_and_alone, alone_no_more, "Link with MASTER is down|read only",
                                      refuses_connections=True),
    "without its replicas": State(
        lambda client: client.config_set("min-replicas-to-write", "1"),
        lambda client: client.config_set("min-replicas-to-write", "0"),
        "NOREPLICAS",
    ),
    "loads its data": State(load_slowly, load_quickly, "loading the dataset", refuses_connections=True),
    "can't write to its disk": State(no_room_on_disk, room_again, "MISCONF", refuses_connections=True),
    "busy with a script": State(run_for_ever, end_script, "BUSY"),
    "forbids writing": State(
        lambda client: client.execute_command("ACL", "SETUSER", "default", "-@write"),
        lambda client: client.execute_command("ACL", "SETUSER", "default", "+@all"),
        "no permissions|NOPERM",
    ),
    "wants a password": State(
        lambda client: (client.config_set("requirepass", "another"), drop_connections(client)),
        lambda client: client.config_set("requirepass", ""),
        "Authentication required|already authenticated",
        refuses_connections=True,
    ),
    "has no connection left": State(
        lambda client: (client.config_set("maxclients", "1"), drop_connections(client)),
        lambda client: client.config_set("maxclients", "1000"),
        "max number of clients reached",
        refuses_connections=True,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def pool() -> str:
    return "threads"


@contextmanager
def redis_server(folder: Path, **settings: str) -> Iterator[int]:
    """A Redis of its own; its port."""
    program = shutil.which("redis-server") or str(_candidates()[0])
    port = free_port()
    wanted = {"port": str(port), "bind": "127.0.0.1", "dir": str(folder), "save": "", **settings}
    options = [word for name, value in wanted.items() for word in (f"--{name.replace('_', '-')}", value)]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as server:
        try:
            with Redis(port=port) as client:
                wait_until("Redis answers", lambda: _answers(client))
            yield port
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def module_broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that can be put into every state."""
    allowed = {"enable_protected_configs": "yes", "enable_debug_command": "yes"}
    with redis_server(tmp_path_factory.mktemp("redis"), **allowed) as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def client(module_broker_url: str) -> Iterator[Any]:
    with Redis.from_url(module_broker_url, single_connection_client=True) as one:
        one.ping()
        yield one


@pytest.fixture(scope="module")
def beat(world: World) -> Iterator[Process]:
    """With an entry that is due each half second, so that it sends in every state; that of a sweep is no line
    of the log."""
    entry = {"task": "seeder.prune", "schedule": 0.5, "options": {"expires": 1}}
    (world.folder / "often.py").write_text(
        f"from seeder.celery import app\napp.conf.beat_schedule = {{'often': {entry}}}\n"
    )
    command = celery("beat", "-l", "INFO", "--pidfile=", "--schedule", str(world.folder / "beat"))
    command[command.index("seeder")] = "often"
    with world.process("beat", command, "beat: Starting") as process:
        process.ready()
        yield process


@contextmanager
def within(client: Any, state: State) -> Iterator[None]:
    state.enter(client)
    try:
        yield
    finally:
        state.leave(client)


def told(text: str, state: State) -> int:
    """How many lines of a log say what Redis replies in the state."""
    return sum(bool(re.search(state.says, line)) for line in text.splitlines())


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_workers_and_beat_say_it_once_and_go_on(
    world: World, worker: Worker, beat: Process, client: Any, state: State
) -> None:
    before, sent = worker.logs(), beat.logs()
    table = f"before_{list(STATES.values()).index(state)}"
    world.custom(table, "select 1 as one")
    with within(client, state):
        wait_until("the worker says so", lambda: told(worker.logs(), state) > told(before, state))
        if not state.refuses_connections:
            # Else it tries again within kombu, which says nothing.
            wait_until("beat says so", lambda: told(beat.logs(), state) > told(sent, state))
        with pytest.raises(NotPublished) as refused:
            world.seed(table_name=table)
        assert re.search(state.says, str(refused.value))
        time.sleep(1.5)
        assert worker.container.popen.poll() is None
        assert beat.popen.poll() is None
        said = told(worker.logs(), state) - told(before, state)
        # To the consumer, when its connection was lost and now, and to who looks for runs that are due.
        assert state.refuses_connections or said <= 3, worker.logs()[len(before) :]
        assert state.refuses_connections or told(beat.logs(), state) - told(sent, state) == 1
    (run,) = world.history(table_name=table)
    assert run.status == "pending"
    wait_until("the sweep queues it", lambda: world.sweep()["requeued"])
    world.check_record(world.wait_for(run.run_id, "success"))
    tick = beat.logs()
    wait_until(
        "beat sends again", lambda: beat.logs().count("Sending due task") > tick.count("Sending due task")
    )
    for log in (worker.logs()[len(before) :], beat.logs()[len(sent) :]):
        assert "Traceback" not in log
        assert "Stack" not in log


@pytest.mark.parametrize("name", ["can't write to its disk", "wants a password"])
def test_a_worker_that_is_started_in_such_a_state_waits(world: World, client: Any, name: str) -> None:
    state = STATES[name]
    with within(client, state):
        process = world.process("early", celery("worker", "-l", "INFO", "-n", "early@%h"), " ready.")
        with process as early:
            wait_until("it says so", lambda: told(early.logs(), state))
            assert early.popen.poll() is None
            assert " ready." not in early.logs()
            state.leave(client)
            early.ready()
            assert "Traceback" not in early.logs()
            assert early.stop() == 0


def test_a_queue_that_somebody_has_made_something_else_ends_no_worker(
    world: World, worker: Worker, client: Any
) -> None:
    earlier = len(worker.logs())
    client.set("seeder.refresh", "x")
    wait_until("it says so", lambda: "WRONGTYPE" in worker.logs()[earlier:])
    client.delete("seeder.refresh")
    world.custom("after_something_else", "select 1 as one")
    (run_id,) = world.seed(table_name="after_something_else").run_ids
    world.check_record(world.wait_for(run_id, "success"))
    assert "Traceback" not in worker.logs()[earlier:]


def test_a_worker_that_waits_can_be_stopped(world: World, client: Any) -> None:
    state = STATES["demoted"]
    with within(client, state), world.process("idle", celery("worker", "-n", "idle@%h"), " ready.") as idle:
        wait_until("it says so", lambda: told(idle.logs(), state))
        idle.popen.send_signal(signal.SIGTERM)
        assert idle.popen.wait(10) == 0
        assert "Traceback" not in idle.logs()


def test_a_cluster_without_its_slots_ends_no_worker(world: World, tmp_path: Path) -> None:
    """Redis Cluster isn't supported. Other states are entered from a Redis that is well, this one is not."""
    with redis_server(tmp_path, cluster_enabled="yes") as port:
        url = f"redis://127.0.0.1:{port}/0"
        command = celery("worker", "-l", "INFO", "-n", "clustered@%h")
        with world.process("clustered", command, " ready.", broker_url=url) as worker:
            wait_until("it says so", lambda: "Hash slot not served" in worker.logs())
            time.sleep(1.5)
            assert worker.popen.poll() is None
            assert "Traceback" not in worker.logs()
            assert worker.stop() == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _answers(client: Any) -> bool:
    with suppress(RedisError):
        return bool(client.ping())
    return False
