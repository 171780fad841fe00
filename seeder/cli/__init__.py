"""The ``seeder`` command: parse, call one thing, print.

Exit codes: 0 all well, 1 something failed, 2 wrong use or configuration, 141 the output's reader is gone.
"""

import sys

import psycopg2
import typer

from seeder import logs
from seeder.cli.commands import application
from seeder.cli.output import lenient_output
from seeder.errors import RecordLocked, UserError
from seeder.postgres.failures import judged

WRONG_USE = 2


def main() -> None:
    """The console script. An error that a user can cause is one line on stderr."""
    logs.configure()
    try:
        with lenient_output():
            # Typer by itself reports wrong use in boxes of five lines.
            code = application(standalone_mode=False, prog_name="seeder")
    except typer.TyperException as error:
        if not (words := error.format_message()):
            # Without a command: the help has been printed.
            raise SystemExit(WRONG_USE) from None
        _stop(_wrong_use(words, getattr(error, "ctx", None)))
    except UserError as error:
        _stop(str(error))
    except psycopg2.errors.LockNotAvailable:
        _stop(_locked())
    except psycopg2.Error as error:
        _stop(f"The reporting database failed the command. {judged(error)}")
    else:
        raise SystemExit(code)


def _locked() -> str:
    """A message that other sessions hold locks which the command needs, and which sessions."""
    # Imported here, since the help needs neither SQLAlchemy nor the settings.
    from seeder.equipment import equipment
    from seeder.monitoring.holders import holders, told

    try:
        found = holders(equipment().databases, equipment().settings.db_schema)
    except psycopg2.Error:
        found = ()
    return f"{RecordLocked()}{told(found)}"


def _wrong_use(words: str, context: typer.Context | None) -> str:
    """Typer's message as one line, with the command that prints the help."""
    words = " ".join(words.split()).rstrip(".")
    return f"{words}. Try `{context.command_path if context else 'seeder'} --help`."


def _stop(message: str) -> None:
    sys.stderr.write(f"seeder: {message}\n")
    raise SystemExit(WRONG_USE)
