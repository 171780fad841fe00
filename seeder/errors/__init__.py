"""Every error that a person can meet, in one small tree.

The docstring of an error is its message, with named gaps that are filled where the error is raised:
``raise UnknownTable(table_name="reporting.x")``. The tree is therefore the list of all messages, and no
message is worded twice.

It has three branches, by what it takes to solve the problem:

``UserError``       another command or configuration; the command line exits with 2.
``ManifestError``   another manifest; the run ends as ``error`` at once.
``TemporaryError``  time only; the run is tried again with backoff.
"""

import sys

if __doc__ is None:
    # All messages would be empty, the one of an error that says so included.
    sys.stderr.write(
        "seeder: python -OO (PYTHONOPTIMIZE=2) drops the docstrings, which are seeder's messages. Run it "
        "without, or with -O.\n"
    )
    raise SystemExit(2)

from seeder.errors.base import (
    Duplicate,
    Fact,
    SeederError,
)
from seeder.errors.manifest import (
    CircularReads,
    CopyUnlike,
    DependentsInTheWay,
    DirectiveRefused,
    DirectiveUnfit,
    FieldMissing,
    FieldUnreadable,
    FunctionRefused,
    FunctionUnresolved,
    KeyNotUnique,
    ManifestError,
    ManifestGone,
    ManifestMoved,
    MayNotCreate,
    MayNotRefresh,
    NameRefused,
    PartUnfit,
    PlaceholderRefused,
    QueryChanged,
    QueryFailed,
    QueryPlaceholderRefused,
    QueryRefused,
    ReadsItself,
    Rejected,
    RoleRefused,
    SharedTableConflict,
    TableTaken,
    TextFunctionRefused,
    UnknownDatabase,
    UnknownReport,
    UpstreamFailed,
)
from seeder.errors.reports import (
    Position,
    Report,
)
from seeder.errors.temporary import (
    DatabaseFull,
    DatabaseTrouble,
    MatviewBusy,
    MatviewChanged,
    MatviewInUse,
    MomentOver,
    RecordHeld,
    TemporaryError,
    TurnAwaited,
)
from seeder.errors.user import (
    BadSetting,
    BrokerElsewhere,
    BrokerFull,
    BrokerUnreachable,
    CeleryConfigUnusable,
    CelerySettingFixed,
    DatabaseSilent,
    DatabaseUnreachable,
    DemoRefused,
    HomeUnusable,
    NothingRunning,
    NotPublished,
    PoolUnfit,
    RecordLocked,
    SchemaIncomplete,
    SchemaNotApplied,
    ServerFailed,
    ServerMissing,
    TableSwitchedOff,
    TooMuchAtOnce,
    Unanswered,
    UnknownAgency,
    UnknownReportType,
    UnknownRun,
    UnknownRunOrTable,
    UnknownTable,
    UserError,
)

__all__ = [
    "BadSetting",
    "BrokerElsewhere",
    "BrokerFull",
    "BrokerUnreachable",
    "CeleryConfigUnusable",
    "CelerySettingFixed",
    "CircularReads",
    "CopyUnlike",
    "DatabaseFull",
    "DatabaseSilent",
    "DatabaseTrouble",
    "DatabaseUnreachable",
    "DemoRefused",
    "DependentsInTheWay",
    "DirectiveRefused",
    "DirectiveUnfit",
    "Duplicate",
    "Fact",
    "FieldMissing",
    "FieldUnreadable",
    "FunctionRefused",
    "FunctionUnresolved",
    "HomeUnusable",
    "KeyNotUnique",
    "ManifestError",
    "ManifestGone",
    "ManifestMoved",
    "MatviewBusy",
    "MatviewChanged",
    "MatviewInUse",
    "MayNotCreate",
    "MayNotRefresh",
    "MomentOver",
    "NameRefused",
    "NotPublished",
    "NothingRunning",
    "PartUnfit",
    "PlaceholderRefused",
    "PoolUnfit",
    "Position",
    "QueryChanged",
    "QueryFailed",
    "QueryPlaceholderRefused",
    "QueryRefused",
    "ReadsItself",
    "RecordHeld",
    "RecordLocked",
    "Rejected",
    "Report",
    "RoleRefused",
    "SchemaIncomplete",
    "SchemaNotApplied",
    "SeederError",
    "ServerFailed",
    "ServerMissing",
    "SharedTableConflict",
    "TableSwitchedOff",
    "TableTaken",
    "TemporaryError",
    "TextFunctionRefused",
    "TooMuchAtOnce",
    "TurnAwaited",
    "Unanswered",
    "UnknownAgency",
    "UnknownDatabase",
    "UnknownReport",
    "UnknownReportType",
    "UnknownRun",
    "UnknownRunOrTable",
    "UnknownTable",
    "UpstreamFailed",
    "UserError",
]
