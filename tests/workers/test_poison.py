"""Whatever lies in a queue: what is no message for a task of seeder's is set aside, and the rest runs."""

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from support.processes import Worker, pool_arguments, wait_until
from support.world import World

from seeder.broker import dead_letters

pytestmark = pytest.mark.slow

TASK = "seeder.refresh_manifest"


@pytest.fixture(scope="module", params=["threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def worker(world: World, pool: str) -> Iterator[Worker]:
    """With events, and with fewer places than the least of what is put in its way."""
    with world.worker("-E", "-c", "2", *pool_arguments(pool)) as worker:
        yield worker


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[Redis]:
    with Redis.from_url(world.broker_url) as client:
        yield client


@pytest.fixture
def aside(client: Redis) -> Iterator[Callable[[], list[Any]]]:
    """A function that gives what was set aside so far, the newest first."""
    yield lambda: [json.loads(entry) for entry in client.lrange(dead_letters.KEY, 0, -1)]
    client.delete(dead_letters.KEY)


def message(world: World, client: Redis, **changes: Any) -> dict[str, Any]:
    """A message as Celery sends it, with other headers or properties (None: without), or another body."""
    kwargs = {"report_type": "custom", "manifest_id": 1, "table_name": "made_up"}
    world.app.send_task(TASK, kwargs=kwargs, task_id="made-up.custom-1", queue="scratch")
    made: dict[str, Any] = json.loads(client.rpop("scratch") or client.rpop("scratch\x06\x163") or b"")
    made["properties"]["delivery_info"] = {"exchange": "seeder.refresh", "routing_key": "seeder.refresh"}
    for name, value in changes.items():
        within = next((made[part] for part in ("headers", "properties") if name in made[part]), made)
        if value is None:
            del within[name]
        else:
            within[name.replace("_", "-") if name.startswith("content") else name] = value
    return made


def body(*parts: Any) -> str:
    """A message's body of arguments, keyword arguments and options."""
    return base64.b64encode(json.dumps(parts).encode()).decode()


#: Texts of messages, or what is changed in a good one; and what is said of it.
GARBAGE: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "no_json": (b"rm -rf /", "JSONDecodeError"),
    "no_utf8": (b"\xff\xfe\x00", "DecodeError"),
    "empty": (b"", "JSONDecodeError"),
    "a_number": (b"7", "AttributeError: 'int' object"),
    "a_list": (b"[1, 2]", "AttributeError: 'list' object"),
    "nothing": (b"null", "AttributeError: 'NoneType' object"),
    "endless_list": (b"[" * 60_000, "RecursionError"),
    "an_empty_object": (b"{}", "KeyError: 'properties'"),
    "no_properties": ({"properties": None}, "KeyError: 'properties'"),
    "no_delivery_tag": ({"delivery_tag": None}, "KeyError: 'delivery_tag'"),
    "delivery_tag_is_a_list": ({"delivery_tag": [1]}, "TypeError"),
    # Of a task whose messages are noted in Redis.
    "delivery_tag_is_true": ({"delivery_tag": True, "task": "seeder.sweep"}, "DataError"),
    "no_delivery_info": ({"delivery_info": None}, "KeyError: 'exchange'"),
    "headers_are_a_list": ({"headers": [1]}, "AttributeError: 'list' object"),
    "no_headers": ({"headers": {}}, "its header id is no text"),
    "no_id": ({"id": None}, "its header id is no text"),
    "id_is_a_list": ({"id": [1]}, "its header id is no text"),
    "no_task": ({"task": None}, "its header task is no text"),
    "unknown_task": ({"task": "os.system"}, "there is no task 'os.system'"),
    "retries_are_text": ({"retries": "x"}, "its header retries"),
    "time_limits_are_text": ({"timelimit": "x"}, "its header timelimit"),
    "eta_is_text": ({"eta": "tomorrow"}, "InvalidTaskError"),
    "expires_is_a_list": ({"expires": [1]}, "InvalidTaskError"),
    "compressed": ({"headers": {"compression": "bzip2", "id": "x", "task": TASK}}, "it is compressed"),
    "unknown_encoding_of_the_body": ({"body_encoding": "x"}, "AttributeError: 'NoneType' object"),
    "body_is_a_number": ({"body": base64.b64encode(b"7").decode()}, "its body is no list of arguments"),
    "body_is_no_json": ({"body": base64.b64encode(b"select 1").decode()}, "DecodeError"),
    "body_is_not_coded": ({"body": "x"}, "Error"),
    "body_is_a_dict": ({"body": base64.b64encode(b"{}").decode()}, "its body is no list of arguments"),
    "arguments_are_text": ({"body": body("x", {}, {})}, "its body is no list of arguments"),
    "keywords_are_a_list": ({"body": body([], [], {})}, "its body is no list of arguments"),
    "no_arguments": ({"body": body([], {}, {})}, "missing a required argument: 'report_type'"),
    "yaml": ({"content-type": "application/x-yaml"}, "ContentDisallowed"),
    "unknown_content_type": ({"content-type": "x"}, "ContentDisallowed"),
}


def test_garbage_is_set_aside_and_the_runs_behind_it_run(
    world: World, worker: Worker, client: Redis, aside: Callable[[], list[Any]], pool: str
) -> None:
    texts = {
        name: what if isinstance(what, bytes) else json.dumps(message(world, client, **what)).encode()
        for name, (what, _) in GARBAGE.items()
    }
    rows = len(world.history())
    client.delete(f"{dead_letters.KEY}.count")
    for queue in ("seeder.refresh", "seeder.control"):
        for text in texts.values():
            client.lpush(queue, text)
        name = f"behind_{queue.rpartition('.')[2]}_{pool}"
        world.custom(name)
        (run_id,) = world.seed(table_name=name).run_ids
        world.check_record(world.wait_for(run_id, "success"))
        wait_until("all of it was taken", lambda queue=queue: not client.llen(queue))
        entries = wait_until(
            "all of it is set aside", lambda: len(found := aside()) == len(GARBAGE) and found
        )
        for entry, (key, text) in zip(reversed(entries), texts.items(), strict=True):
            assert GARBAGE[key][1] in entry["why"], key
            assert (entry["queue"], entry["bytes"]) == (queue, len(text)) or text[:1] == b"{", key
        client.delete(dead_letters.KEY)
    assert len(world.history()) == rows + 2
    assert (world.in_queue(), world.unacked()) == (0, 0)
    assert int(client.get(f"{dead_letters.KEY}.count") or 0) == 2 * len(GARBAGE)
    seems_untouched(worker)


def seems_untouched(worker: Worker) -> None:
    """It neither ended nor connected anew nor met anything it didn't expect."""
    assert worker.container.popen.poll() is None
    said = worker.logs()
    assert "Traceback" not in said
    assert "re-establish" not in said
    assert said.count(" ready.") == 1


def test_a_pickle_is_refused_without_being_loaded(
    world: World, worker: Worker, client: Redis, aside: Callable[[], list[Any]], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"

    class Deed:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trace,)

    text = base64.b64encode(pickle.dumps(Deed())).decode()
    for kind in ("application/x-python-serialize", "application/data"):
        deed = message(world, client, body=text, **{"content-type": kind, "content-encoding": "binary"})
        client.lpush("seeder.refresh", json.dumps(deed))
    entries = wait_until("both are set aside", lambda: len(found := aside()) == 2 and found)
    assert [entry["why"].partition(":")[0] for entry in entries] == [
        "its body is no list of arguments, keyword arguments and options",
        "ContentDisallowed",
    ]
    broadcast = message(
        world, client, body=text, **{"content-type": "application/x-python-serialize", "headers": {}}
    )
    client.publish(f"/{world.broker_url.rpartition('/')[2]}.celery.pidbox", json.dumps(broadcast))
    entries = wait_until("that too", lambda: len(found := aside()) == 3 and found)
    assert entries[0]["why"].startswith("ContentDisallowed")
    assert not trace.exists()
    pickle.loads(base64.b64decode(text))  # noqa: S301 - our own
    assert trace.exists(), "loading it would have been seen"


@pytest.mark.parametrize(
    ("task", "args", "kwargs"),
    [
        ("seeder.refresh_all", [7], {}),
        ("seeder.refresh_all", [], {"scheduled": "yes"}),
        ("seeder.refresh_agency", [], {}),
        ("seeder.refresh_agency", [["ua"]], {}),
        ("seeder.refresh_agency", ["a\0b"], {}),
        ("seeder.refresh_table", [], {}),
        ("seeder.refresh_table", ["a", "b"], {}),
        ("seeder.refresh_table", ["\ud800"], {}),
        ("seeder.refresh_table", [], {"table": "a"}),
        ("seeder.sweep", [1], {}),
        ("seeder.prune", [], {"days": 0}),
        ("seeder.audit", [], {"most": 5}),
    ],
)
def test_wrong_arguments_are_set_aside(
    world: World, worker: Worker, aside: Callable[[], list[Any]], task: str, args: list[Any], kwargs: Any
) -> None:
    world.app.send_task(task, args=args, kwargs=kwargs)
    (entry,) = wait_until("it is set aside", aside)
    assert entry["why"].startswith(f"{task}: ")
    assert entry["queue"] == ("seeder.refresh" if task == "seeder.audit" else "seeder.control")
    seems_untouched(worker)


@pytest.mark.parametrize(
    "change",
    [
        {"manifest_id": 10**30},
        {"manifest_id": "1"},
        {"manifest_id": True},
        {"table_name": None},
        {"database_id": "7"},
        {"report_type": 1},
        {"more": 1},
        {"table_name": "x" * 50_000},
        {"table_name": "other_table"},
        {"report_type": "tinned"},
    ],
    ids=lambda change: str(change)[:30],
)
def test_a_message_with_a_runs_id_and_other_arguments_is_not_that_runs_failure(
    world: World, worker: Worker, client: Redis, change: dict[str, Any]
) -> None:
    name = f"bears_its_id_{len(world.history())}"
    number = world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(name)
    (run_id,) = world.seed(table_name=name).run_ids
    world.wait_for(run_id, "running")
    count, ignored = (
        int(client.get(f"{dead_letters.KEY}.count") or 0),
        worker.logs().count(f"[{run_id}] ignored"),
    )
    right = {"report_type": "custom", "manifest_id": number, "table_name": name}
    world.app.send_task(TASK, kwargs={**right, **change}, task_id=run_id, priority=0)
    wait_until(
        "it is set aside, or fails as nobody's",
        lambda: (
            int(client.get(f"{dead_letters.KEY}.count") or 0) > count
            or f"[{run_id}] raised" in worker.logs()
            or worker.logs().count(f"[{run_id}] ignored") > ignored
        ),
    )
    assert world.run(run_id).status == "running"
    world.open_gates()
    world.check_record(world.wait_for(run_id, "success"))
    assert max(map(len, worker.logs().splitlines())) < 200_000
    client.delete(dead_letters.KEY)


def test_fifty_megabytes_leave_neither_memory_nor_lines_behind(
    world: World, worker: Worker, client: Redis, aside: Callable[[], list[Any]], pool: str
) -> None:
    said, (_, before) = len(worker.logs()), worker.spent()
    client.lpush("seeder.refresh", b'{"body": "' + b"x" * 50_000_000 + b'"}')
    (entry,) = wait_until("it is set aside", aside)
    assert (entry["bytes"], entry["why"]) == (50_000_012, "longer than 65536 bytes")
    assert len(entry["message"]) == dead_letters.KEPT_BYTES
    wait_until("the memory is free again", lambda: worker.spent()[1] < before + 20_000_000)
    assert len(worker.logs()) < said + 10_000
    world.custom(f"behind_a_giant_{pool}")
    (run_id,) = world.seed(table_name=f"behind_a_giant_{pool}").run_ids
    world.check_record(world.wait_for(run_id, "success"))


def test_broadcasts_that_are_none_are_dropped(world: World, worker: Worker, client: Redis) -> None:
    dropped = worker.logs().count("broadcast that can't be read")
    number = world.broker_url.rpartition("/")[2]
    garbage = [b"7", b"{}", b"[" * 50_000, b"nonsense", b'{"properties": {}}', b"\xff"]
    for text in garbage:
        assert client.publish(f"/{number}.celery.pidbox", text) == 1
    wait_until(
        "those that kombu doesn't drop itself are told",
        lambda: worker.logs().count("broadcast that can't be read") >= dropped + len(garbage) - 2,
    )
    answers = world.app.control.ping(timeout=2, limit=1)
    assert [list(answer.values()) for answer in answers] == [[{"ok": "pong"}]]
    assert worker.container.popen.poll() is None


def test_a_worker_starts_although_there_is_garbage_among_the_unacknowledged(
    world: World, client: Redis, aside: Callable[[], list[Any]], pool: str
) -> None:
    garbage = {"a": b"nonsense", "b": b"7", "c": b'["x"]', "d": b'[{}, "", ""]'}
    for tag, text in garbage.items():
        client.hset("unacked", tag, text)
        client.zadd("unacked_index", {tag: 1})
    # The other worker of this module has it too, but looks only every 30 s.
    with world.worker("-c", "1", "-Q", "seeder.nothing", *pool_arguments(pool)) as worker:
        wait_until(
            "nothing is left there", lambda: not client.hlen("unacked") + client.zcard("unacked_index")
        )
        assert {entry["queue"] for entry in aside()} == {"unacked"}
        assert worker.container.popen.poll() is None
