"""The thread pool by itself, and what is refused of a pool when a worker starts."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery.concurrency import prefork, solo
from celery.concurrency.thread import TaskPool as CelerysPool
from support.processes import wait_until

from seeder.broker.pool_requests import verify, verify_known
from seeder.broker.thread_pool import TaskPool
from seeder.errors import PoolUnfit


class Work:
    """Tasks that end when the test says so."""

    def __init__(self, pool: TaskPool) -> None:
        self.pool = pool
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.accepted: list[int] = []
        self._ends = [threading.Event() for _ in range(10)]

    def hand_over(self, *numbers: int) -> None:
        for number in numbers:
            self.pool.apply_async(
                self._task, (number,), callback=self.ended.append, accept_callback=self._accept, pid=1
            )

    def end(self, *numbers: int) -> None:
        for number in numbers:
            self._ends[number].set()

    def end_all(self) -> None:
        self.end(*range(10))

    def has_begun(self, *numbers: int) -> None:
        wait_until(f"{numbers} have begun", lambda: self.begun == [*numbers], seconds=10)

    def _accept(self, pid: int, _time: float) -> None:
        self.accepted.append(pid)

    def _task(self, number: int) -> int:
        self.begun.append(number)
        self._ends[number].wait(10)
        return number


@pytest.fixture
def work() -> Iterator[Work]:
    pool = TaskPool(2)
    pool.start()
    work = Work(pool)
    yield work
    work.end_all()
    pool.stop()


def test_as_many_work_as_the_limit_says_and_the_others_follow_in_their_order(work: Work) -> None:
    work.hand_over(0, 1, 2, 3)
    work.has_begun(0, 1)
    work.end(0)
    work.has_begun(0, 1, 2)
    work.end(1)
    work.has_begun(0, 1, 2, 3)
    work.end_all()
    wait_until("all have ended", lambda: sorted(work.ended) == [0, 1, 2, 3])
    assert len(work.accepted) == 4


def test_it_grows_and_shrinks_while_it_works(work: Work) -> None:
    work.hand_over(0, 1, 2, 3, 4)
    work.has_begun(0, 1)
    work.pool.grow()
    work.has_begun(0, 1, 2)
    work.pool.shrink(2)
    assert (work.pool.num_processes, work.pool.info["max-concurrency"]) == (1, 1)
    work.end(0, 1)
    wait_until("two have ended", lambda: len(work.ended) == 2)
    assert work.begun == [0, 1, 2], "one is at work, and no more may be"
    work.end(2)
    work.has_begun(0, 1, 2, 3)


def test_what_raises_leaves_its_place_to_the_next(work: Work) -> None:
    def broken() -> None:
        raise SystemExit

    for _ in range(3):
        work.pool.apply_async(broken, callback=work.ended.append)
    work.hand_over(0, 1)
    work.has_begun(0, 1)


def test_when_it_stops_what_works_ends_and_what_waits_does_not_begin(work: Work) -> None:
    work.hand_over(0, 1, 2)
    work.has_begun(0, 1)
    stopping = threading.Thread(target=work.pool.stop)
    stopping.start()
    work.end_all()
    stopping.join(10)
    assert (sorted(work.ended), work.begun) == ([0, 1], [0, 1])


def test_without_a_place_to_begin_with_it_waits_until_it_grows() -> None:
    """`--autoscale=4` means 4 at most and none at least."""
    pool = TaskPool(0)
    pool.start()
    work = Work(pool)
    work.end_all()
    work.hand_over(0)
    assert work.begun == []
    pool.grow()
    work.has_begun(0)
    pool.stop()


class Green(solo.TaskPool):  # type: ignore[misc]
    is_green = True


@pytest.mark.parametrize(
    ("pool", "autoscale", "refused"),
    [
        (TaskPool, None, ""),
        (TaskPool, (4, 1), ""),
        (TaskPool, (4, 0), ""),
        (prefork.TaskPool, (4, 1), ""),
        (solo.TaskPool, None, ""),
        (CelerysPool, None, ""),
        (TaskPool, (0, 0), "--autoscale=0,0"),
        (TaskPool, (3, -1), "--autoscale=3,-1"),
        (solo.TaskPool, (4, 1), "can't grow"),
        (CelerysPool, (4, 1), "can't grow"),
        (Green, None, "gevent"),
    ],
)
def test_what_a_pool_can_not_do_is_refused(pool: type, autoscale: Any, refused: str) -> None:
    if not refused:
        verify(pool, autoscale)
        return
    with pytest.raises(PoolUnfit, match=refused):
        verify(pool, autoscale)


@pytest.mark.parametrize(
    ("pool", "why"),
    [
        ("prefork", ""),
        ("gevent", ""),
        ("seeder.broker.thread_pool:TaskPool", ""),
        (TaskPool, ""),
        ("nosuch", "No module named 'nosuch'"),
        ("seeder.nosuch:Pool", "No module named 'seeder.nosuch'"),
        ("celery:NoSuchPool", "has no attribute 'NoSuchPool'"),
        (".", "'.'"),
    ],
)
def test_a_pool_that_is_not_there_is_refused_by_its_name(pool: Any, why: str) -> None:
    if not why:
        verify_known(pool)
        return
    with pytest.raises(PoolUnfit, match=re.escape(why)):
        verify_known(pool)
