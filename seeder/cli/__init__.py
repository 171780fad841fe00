"""The ``seeder`` command: parse, call one thing, print.

Exit codes: 0 all well, 1 something failed, 2 wrong use or configuration.
"""

import sys

import psycopg2

from seeder import logs
from seeder.cli.commands import application
from seeder.errors import UserError
from seeder.failures import judged

WRONG_USE = 2


def main() -> None:
    """The console script. What a user can cause is told in one line on stderr."""
    logs.configure()
    try:
        application()
    except UserError as error:
        _stop(str(error))
    except psycopg2.Error as error:
        _stop(f"The reporting database failed the command. {judged(error)}")
    except BrokenPipeError:
        # `seeder status | head`: whoever reads has seen enough.
        sys.stderr.close()


def _stop(message: str) -> None:
    sys.stderr.write(f"seeder: {message}\n")
    raise SystemExit(WRONG_USE)
