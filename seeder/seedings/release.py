"""Runs that wait for what they read: held when they are queued, let go of when the last of it has ended.

Whoever ends a run asks here afterwards who waits for it. Where that is lost (a worker died, Redis was away)
the sweep finds out from the record; so nothing here is more than a matter of time.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg2
import structlog
from celery import Celery

from seeder.broker.messages import TROUBLE, broker_trouble, ready_to_wait
from seeder.broker.planned import Planned
from seeder.broker.upstreams import Upstreams
from seeder.config.settings import OnUpstreamError
from seeder.equipment import Equipment
from seeder.errors import BrokerUnreachable
from seeder.history.upstreams import Upstream
from seeder.postgres.failures import one_line
from seeder.run_ids import seeding_of
from seeder.seedings.planning import upstream_failed

log = structlog.get_logger(__name__)

#: For so long it is believed that no run waits for another.
BELIEF_SECONDS = 1.0


class Release:
    """The runs that wait for others, as one process reaches them."""

    def __init__(self, app: Celery, equipment: Equipment) -> None:
        self._app = app
        self._history = equipment.history
        self._anyone, self._asked_at = False, float("-inf")
        self._skips = equipment.settings.on_upstream_error is OnUpstreamError.SKIP

    def hold(self, planned: Sequence[tuple[Planned, Collection[str]]]) -> None:
        """Keep each of these pending runs until all those have ended, some of which may have by now.

        Raises BrokerUnreachable; psycopg2.Error.
        """
        if not planned:
            return
        with self._trouble_told():
            self.upstreams.hold(
                (ready_to_wait(self._app, self._channel, one), run_ids) for one, run_ids in planned
            )
        self.settle({run_id for _, run_ids in planned for run_id in run_ids})
        others = {
            run_id
            for one, run_ids in planned
            for run_id in run_ids
            if seeding_of(run_id) != seeding_of(one.run.run_id)
        }
        if others:
            # Whoever ended one of them within this time may not have asked (``after``).
            time.sleep(BELIEF_SECONDS)
            self.settle(others)

    def after(self, run_id: str, *, awaited: bool = True) -> None:
        """A run has ended, or maybe not: see to those that wait for it. What fails here the sweep does.

        Of what nobody waited for in its own seeding (``awaited``) another's run may wait, which is rare:
        whether there is any that waits at all is asked once a second, as to ask took a sixth of what a
        worker spends on a short run. ``hold`` looks again after that second.
        """
        try:
            if (awaited or self._anyone_waits()) and self.upstreams.anyone_waits_for(run_id):
                self.settle([run_id])
        except (*TROUBLE, BrokerUnreachable, psycopg2.Error) as error:
            log.warning("who waits is left to the sweep", run_id=run_id, reason=one_line(error))

    def settle(self, run_ids: Collection[str]) -> frozenset[str]:
        """Let go of those that wait for such of these runs as have ended; returns who isn't run then."""
        ended = [one for one in self._history.upstreams.known(run_ids) if one.has_ended]
        over = [one.run_id for one in ended if self.goes_on_after(one)]
        failed = [one for one in ended if not self.goes_on_after(one)]
        not_run, gone = frozenset[str](), frozenset[str]()
        for root in failed:
            with self._trouble_told():
                readers = self.upstreams.waiting_for([root.run_id])
            ended_now = self._end(dict.fromkeys(readers, words_after(root)))
            # A fan-out that is repeated may have put back what ended while it looked.
            known = self._history.upstreams.known(readers - ended_now)
            not_run |= ended_now
            gone |= ended_now.union(one.run_id for one in known if one.has_ended)
        with self._trouble_told():
            self.upstreams.drop(sorted(gone))
            self.upstreams.release(over)
        return not_run

    def goes_on_after(self, upstream: Upstream) -> bool:
        """Whether those that wait for this run may begin. They mayn't after a failure that they are not run
        for, even while they can't be ended, as somebody holds a row of theirs."""
        return upstream.has_ended and not (upstream.has_failed and self._skips)

    def end(self, awaited: Mapping[str, Sequence[Upstream]]) -> frozenset[str]:
        """End those of these runs of which one upstream has failed; returns them."""
        return self._end(
            {
                run_id: words_after(failed[0])
                for run_id, found in awaited.items()
                if (failed := [one for one in found if one.has_ended and not self.goes_on_after(one)])
            }
        )

    def _end(self, words: Mapping[str, str]) -> frozenset[str]:
        ended = self._history.upstreams.not_run(words)
        for run_id in sorted(ended):
            log.warning("not run", run_id=run_id, reason=words[run_id])
        return ended

    def _anyone_waits(self) -> bool:
        """As it was a moment ago."""
        if time.monotonic() - self._asked_at > BELIEF_SECONDS:
            self._anyone, self._asked_at = self.upstreams.anyone_waits(), time.monotonic()
        return self._anyone

    @cached_property
    def upstreams(self) -> Upstreams:
        return Upstreams.over(self._channel)

    def close(self) -> None:
        """Close the connection, if there is one; for whoever doesn't keep this as long as it lives itself."""
        if "_channel" in self.__dict__:
            self._channel.connection.client.release()

    @cached_property
    def _channel(self) -> Any:
        return self._app.connection_for_write().channel()

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
        except TROUBLE as error:
            raise broker_trouble(self._app, error) from error


def words_after(failed: Upstream) -> str:
    """What is recorded of a run that isn't done because of that one; its own words name the root already."""
    if not failed.is_root and failed.errors:
        return failed.errors
    return upstream_failed(failed.table_name, failed.agency_slug, failed.errors or "")
