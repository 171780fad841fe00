"""Runs of a seeding that read each other: which wait, go and end."""

import json

import pytest
from support.contract import Platform, as_it_is
from support.night import Night

from seeder.broker.queues import REFRESH_QUEUE
from seeder.seedings.release import BELIEF_SECONDS, Release


def test_only_what_may_begin_is_queued_and_the_rest_as_soon_as_it_may(night: Night) -> None:
    night.chain("a", "b", "c")
    night.report("d", "select * from a, c")
    seeding = night.seed()
    assert (seeding.queued, seeding.waiting) == (4, 3)
    assert night.statuses(seeding) == dict.fromkeys("abcd", "pending")
    assert night.queued(seeding) == {"a"}
    night.end(seeding, "a")
    assert night.queued(seeding) == {"b"}
    night.end(seeding, "b")
    assert night.queued(seeding) == {"c"}
    night.end(seeding, "c")
    assert night.queued(seeding) == {"d"}
    night.end(seeding, "d")
    assert [key for key in night.redis.scan_iter() if b"deferred" in key] == []


def test_what_is_selected_does_not_wait_for_what_is_not(night: Night) -> None:
    night.chain("a", "b", "c")
    seeding = night.seed("a", "c")
    assert night.queued(seeding) == {"a", "c"}
    night.end(seeding, "a")
    assert night.queued(seeding) == {"c"}


def test_a_retry_lets_nobody_go(night: Night) -> None:
    night.chain("a", "b")
    seeding = night.seed()
    night.start(seeding, "a")
    night.equipment.history.retry(
        as_it_is(night.equipment.history, night.run_id(seeding, "a")), "08006: gone"
    )
    Release(night.app, night.equipment).after(night.run_id(seeding, "a"))
    assert night.waits(seeding) == {"b": {night.run_id(seeding, "a")}}


def test_a_run_waits_for_what_another_seeding_is_refreshing(night: Night) -> None:
    night.chain("a", "b")
    earlier = night.seed("a")
    night.start(earlier, "a")
    later = night.seed("b")
    assert night.waits(later) == {"b": {night.run_id(earlier, "a")}}
    night.end(earlier, "a")
    assert night.queued(later) == {"b"}


def test_what_nobody_of_its_own_seeding_waits_for_lets_another_seedings_run_go(night: Night) -> None:
    night.chain("a", "b")
    earlier = night.seed("a")
    later = night.seed("b")
    night.end(earlier, "a", quietly=True)
    release = Release(night.app, night.equipment)
    release.after(night.run_id(earlier, "a"), awaited=False)
    assert night.queued(later) == {"b"}


def test_a_run_that_ends_in_the_second_in_which_its_worker_believes_that_nobody_waits_is_seen(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.chain("a", "b")
    release = Release(night.app, night.equipment)
    earlier = night.seed("a")
    # Nobody waits, which is believed for a second.
    release.after(night.run_id(earlier, "a"), awaited=False)
    waited = []

    def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        night.end(earlier, "a", quietly=True)
        release.after(night.run_id(earlier, "a"), awaited=False)

    monkeypatch.setattr("seeder.seedings.release.time.sleep", meanwhile)
    later = night.seed("b")
    assert (waited, night.queued(later)) == ([BELIEF_SECONDS], {"b"})
    # Within a seeding the messages say who is awaited.
    night.seed()
    assert waited == [BELIEF_SECONDS]


def test_a_message_says_whether_another_run_of_its_seeding_waits_for_it(night: Night) -> None:
    night.chain("a", "b")
    night.report("c")
    night.seed()
    with night.app.connection_for_write() as connection, connection.channel() as channel:
        queues = [channel._q_for_pri(REFRESH_QUEUE, step) for step in channel.priority_steps]
    queued = [text for queue in queues for text in night.redis.lrange(queue, 0, -1)]
    kept = [json.loads(text)[1] for text in night.redis.hvals("seeder.deferred.messages")]
    headers = [json.loads(text)["headers"] for text in [*queued, *kept]]
    told = {one["id"].rpartition("-")[2]: one["awaited"] for one in headers}
    assert told == {"1": True, "2": False, "3": False}


def test_a_run_waits_for_the_one_that_is_queued_in_the_place_of_its_own_seedings(night: Night) -> None:
    night.chain("a", "b")
    earlier = night.seed("a")
    later = night.seed()
    assert later.already_queued == {"a": night.run_id(earlier, "a")}
    assert night.waits(later) == {"b": {night.run_id(earlier, "a")}}
    night.end(earlier, "a", "22012: division by zero")
    assert night.statuses(later) == {"b": "error"}


def test_a_run_that_waits_elsewhere_will_not_do_where_what_it_reads_is_refreshed_after_it(
    night: Night,
) -> None:
    night.chain("a", "b", "c")
    earlier = night.seed("b", "c")
    assert night.waits(earlier) == {"c": {night.run_id(earlier, "b")}}
    later = night.seed()
    # Else b and c would end this seeding without what a brings.
    assert later.already_queued == {}
    assert night.waits(later) == {
        "b": {night.run_id(later, "a")},
        "c": {night.run_id(later, "b")},
    }
    again = night.seed()
    assert again.already_queued.keys() == {"a", "b", "c"}


def test_one_that_failed_is_the_only_failure_and_all_that_read_it_name_it(night: Night) -> None:
    night.chain("a", "b", "c", "d")
    night.report("e", "select * from b, other")
    night.report("other")
    first = night.seed()
    for name in ("a", "b", "c"):
        night.end(first, name)
    night.end(first, "d", "22012: division by zero")
    night.end(first, "other")
    night.end(first, "e")
    seeding = night.seed()
    night.end(seeding, "a")
    night.end(seeding, "b", '42P01: relation "gone" does not exist\nLINE 1: …')
    assert night.statuses(seeding) == {
        "a": "success", "b": "error", "c": "error", "d": "error", "e": "error", "other": "pending",
    }  # fmt: skip
    for name, failures in (("b", 1), ("c", 0), ("d", 1), ("e", 0)):
        row, status = night.run(seeding, name), night.platform.status(name)
        assert (row.consecutive_failures, status.consecutive_failures) == (failures, failures), name
        assert status.status == "error"
        if name != "b":
            assert row.errors.startswith(
                "Not run: b (agency ua), which it reads, ended in an error: 42P01: relation"
                ' "gone" does not exist. Mend'
            )
            assert "LINE" not in row.errors
    # What d itself failed with still stands.
    assert "The last failure before that: 22012" in night.platform.status("d").last_errors
    assert night.waits(seeding) == {}
    # Nothing is left that could bring them back.
    night.end(seeding, "other")
    assert night.queued(seeding) == set()


def test_where_it_is_wished_what_reads_a_failed_one_is_run_all_the_same(
    platform: Platform, broker_url: str
) -> None:
    night = Night(platform, broker_url, on_upstream_error="refresh")
    night.chain("a", "b")
    night.report("broken", "select 1; select 2")
    seeding = night.seed()
    night.end(seeding, "a", "22012: division by zero")
    assert night.queued(seeding) == {"b", "broken"}
    night.close()


def test_what_reads_one_that_cannot_be_used_is_not_run(night: Night) -> None:
    night.report("a")
    night.platform.sql("update reporting.seeder_custom_report_manifest set database_id = 99")
    night.report("b", "-- seeder: after=(a)\nselect 1 as one")
    night.report("c", "select * from b")
    seeding = night.seed()
    assert list(seeding.refused) == [night.run_id(seeding, "a")]
    assert seeding.not_run.keys() == {night.run_id(seeding, "b"), night.run_id(seeding, "c")}
    assert night.statuses(seeding) == dict.fromkeys("abc", "error")
    assert [night.platform.status(name).consecutive_failures for name in "abc"] == [1, 0, 0]
    assert "Not run: a (agency ua)" in night.platform.status("c").last_errors
    # Where it isn't asked for, its readers are.
    alone = night.seed("c")
    assert night.queued(alone) == {"c"}


def test_a_circle_is_an_error_that_spells_it_however_it_is_asked_for(night: Night) -> None:
    night.report("a", "-- seeder: after=(c)\nselect 1 as one")
    night.report("b", "select * from a")
    night.report("c", "select * from b")
    night.report("d", "select * from c")
    night.report("e", "-- seeder: after=(e)\nselect 1 as one")
    seeding = night.seed()
    assert night.statuses(seeding) == {**dict.fromkeys("abcd", "error"), "e": "pending"}
    assert "a reads c, c reads b, b reads a" in night.run(seeding, "a").errors
    assert "b reads a, a reads c, c reads b" in night.run(seeding, "b").errors
    assert night.run(seeding, "d").errors.startswith("Not run: ")
    assert [night.platform.status(name).consecutive_failures for name in "abcd"] == [1, 1, 1, 0]
    assert "a reads c" in night.seed("a").refused.popitem()[1]
