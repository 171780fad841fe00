"""What ``celery -A seeder …`` loads: the app with its tasks and signals.

This is an entry point, so it acts at import: a setting that can't be used is told in one line, where Celery
would show a traceback.
"""

import sys

from seeder import logs, signals, tasks
from seeder.app import app
from seeder.errors import UserError

__all__ = ["app", "signals", "tasks"]

logs.configure()
try:
    app.conf.broker_url  # noqa: B018 - reads the configuration
except UserError as error:
    sys.stderr.write(f"seeder: {error}\n")
    raise SystemExit(2) from None
