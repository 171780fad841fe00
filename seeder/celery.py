"""What ``celery -A seeder …`` loads: the app with its tasks and signals.

This is an entry point, so it acts at import: a setting that can't be used is told in one line, where Celery
would show a traceback.
"""

import sys

from seeder import embedded, logs, signals, tasks
from seeder.app import app
from seeder.broker import log_filters, thread_pool, transport
from seeder.broker.delayed_poller import DelayedPoller
from seeder.broker.pool_requests import PoolVerified, verify_known
from seeder.broker.queues import TASK
from seeder.config.settings import current_settings
from seeder.errors import UserError
from seeder.maintenance.watchdog import WatchdogStep

__all__ = ["app", "signals", "tasks"]

logs.configure()
log_filters.install()
transport.install(unnoted_task=TASK)
app.steps["worker"].update((PoolVerified, DelayedPoller, WatchdogStep))
try:
    app.conf.finalize()
    if "worker" in sys.argv:
        # Here, too, rather than in its first run. Beat, Flower and Celery's own commands need no database.
        embedded.database_url(current_settings())
        verify_known(app.conf.worker_pool)
except UserError as error:
    sys.stderr.write(f"seeder: {error}\n")
    raise SystemExit(2) from None

thread_pool.install()
if thread_pool.asks_for_prefork(sys.argv):
    app.conf.worker_pool = "prefork"
