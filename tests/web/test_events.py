"""Events: one source for all viewers, bounded, and a viewer that comes back is told what it missed."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest
import structlog
from fastapi import FastAPI
from support.contract import Platform, new_run
from support.visits import wait_until

from seeder.web.live.feed import KEPT, Feed


def told(message: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in message.strip().split("\n"))


async def some(stream: AsyncIterator[str], count: int) -> list[dict[str, str]]:
    """The next so many events, without the line on when to come back."""
    found: list[dict[str, str]] = []
    while len(found) < count:
        message = await asyncio.wait_for(anext(stream), 5)
        if not message.startswith(("retry", ":")):
            found.append(told(message))
    return found


def in_a_loop(coroutine) -> None:
    asyncio.run(coroutine())


def test_every_viewer_is_told_everything_in_order() -> None:
    @in_a_loop
    async def _() -> None:
        feed = Feed()
        viewers = [feed.follow(None) for _ in range(3)]
        for viewer in viewers:
            (hello,) = await some(viewer, 1)
            assert hello["event"] == "hello"
        for number in range(5):
            feed.publish("changes", str(number))
        for viewer in viewers:
            assert [one["data"] for one in await some(viewer, 5)] == list("01234")
        waiting = asyncio.create_task(some(viewers[0], 1))
        await asyncio.sleep(0)
        feed.publish("changes", "later")
        assert (await waiting)[0]["data"] == "later"


def test_a_viewer_that_comes_back_goes_on_where_it_was() -> None:
    @in_a_loop
    async def _() -> None:
        feed = Feed()
        first = feed.follow(None)
        await some(first, 1)
        for number in range(4):
            feed.publish("changes", str(number))
        seen = await some(first, 2)
        await first.aclose()
        assert [one["data"] for one in await some(feed.follow(seen[-1]["id"]), 2)] == ["2", "3"]


@pytest.mark.parametrize(
    "last", ["", "x", "ffffffff-3", "{origin}-999", "{origin}--1", "{origin}-²", "{origin}-0"]
)
def test_a_viewer_that_was_away_too_long_or_on_another_server_reads_anew(last: str) -> None:
    @in_a_loop
    async def _() -> None:
        feed = Feed()
        for number in range(KEPT + 1):
            feed.publish("changes", str(number))
        viewer = feed.follow(last.format(origin=feed.origin))
        assert (await some(viewer, 1))[0]["event"] == "reload"
        feed.publish("changes", "new")
        assert (await some(viewer, 1))[0]["data"] == "new"


def test_a_slow_viewer_costs_nothing_and_reads_anew() -> None:
    @in_a_loop
    async def _() -> None:
        feed = Feed()
        slow = feed.follow(None)
        await some(slow, 1)
        for number in range(10 * KEPT):
            feed.publish("changes", str(number))
        assert len(feed._messages) == KEPT
        assert (await some(slow, 1))[0]["event"] == "reload"
        feed.publish("changes", "new")
        assert (await some(slow, 1))[0]["data"] == "new"


def test_a_viewer_that_has_gone_is_forgotten_and_a_closed_feed_ends() -> None:
    @in_a_loop
    async def _() -> None:
        feed = Feed()
        gone, stays = feed.follow(None), feed.follow(None)
        await some(gone, 1)
        await some(stays, 1)
        assert feed.viewers == 2
        await gone.aclose()
        assert feed.viewers == 1
        feed.close()
        assert [one async for one in stays] == []
        assert feed.viewers == 0


# --- over a real server ------------------------------------------------------------------------------------


@contextmanager
def following(address: str, **headers: str) -> Iterator[HTTPResponse]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=20)
    try:
        connection.request("GET", "/api/events", headers=headers)
        yield connection.getresponse()
    finally:
        connection.close()


def next_event(answer: HTTPResponse, wanted: str) -> dict[str, str]:
    message: dict[str, str] = {}
    while True:
        line = answer.readline().decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            message[name] = value
        elif message.get("event") == wanted:
            return message
        else:
            message = {}


def test_a_change_of_status_arrives_and_is_found_again(
    platform: Platform, app: FastAPI, address: str
) -> None:
    platform.custom(1, table_name="sales")
    feed = app.state.services.live.feed
    with following(address) as answer:
        assert answer.getheader("content-type") == "text/event-stream; charset=utf-8"
        hello = next_event(answer, "hello")
        wait_until("the first look", lambda: app.state.services.live._monitor.snapshot)
        platform.history.queue([new_run("20261124T0200Z.custom-1", "sales")])
        event = next_event(answer, "changes")
        told = json.loads(event["data"])
        assert told["count"] == 1
        assert [(one["tableName"], one["status"]) for one in told["jobs"]] == [("sales", "pending")]
        assert told["jobs"][0]["runId"] == "20261124T0200Z.custom-1"
    wait_until("the viewer is forgotten", lambda: feed.viewers == 0)
    with following(address, **{"Last-Event-ID": hello["id"]}) as answer:
        assert next_event(answer, "changes")["id"] == event["id"]
    with following(address, **{"Last-Event-ID": "of-yesterday-7"}) as answer:
        next_event(answer, "reload")


def test_no_more_viewers_are_taken_than_there_is_room_for(
    app: FastAPI, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seeder.web.live.feed.MOST_VIEWERS", 1)
    with following(address) as first:
        next_event(first, "hello")
        with following(address) as second:
            assert second.status == 503
            assert json.loads(second.read())["error"]["code"] == "unavailable"


def test_whatever_a_look_fails_with_the_next_one_is_taken(
    platform: Platform, app: FastAPI, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw, too: the pages would show the last look for ever."""
    monkeypatch.setattr("seeder.web.live.live.LONGEST_PAUSE_SECONDS", 0.05)
    live = app.state.services.live
    with following(address) as answer:
        next_event(answer, "hello")
        wait_until("the first look", lambda: live._monitor.snapshot)
        looks = []

        def broken() -> None:
            looks.append(1)
            raise KeyError("nobody foresaw it")

        with monkeypatch.context() as patch, structlog.testing.capture_logs() as lines:
            patch.setattr(live._monitor, "look", broken)
            next_event(answer, "unread")
            wait_until("it looks again", lambda: len(looks) > 1)
        assert any(line["event"].startswith("a look at the record failed") for line in lines)
        next_event(answer, "reload")
