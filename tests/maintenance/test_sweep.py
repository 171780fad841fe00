"""The sweep with its consequences: what it settles is on its way again."""

import pytest
from celery import Celery
from support.contract import Platform, new_run

from seeder.broker.messages import on_their_way
from seeder.broker.queues import REFRESH_QUEUE
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.maintenance.sweep import sweep_and_requeue

RUN = "n1.custom-1"


@pytest.fixture
def settings() -> Settings:
    """With a database 8 that is down."""
    return Settings(databases={8: "postgresql://nobody@127.0.0.1:1/nothing"})


def test_a_dead_run_of_a_manifest_that_is_switched_off_does_not_wait_for_a_database_that_is_down(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    platform.custom(1, table_name="sales", enabled=False)
    platform.history.queue([new_run(RUN)])
    platform.history.start(RUN, "sales")
    platform.sql("update reporting.seeder_run_history set updated_at = now() - interval '1 hour'")
    assert sweep_and_requeue(app, equipment) == {"requeued": 1, "ended": 0}
    assert on_their_way(app, [REFRESH_QUEUE]) == {RUN}
