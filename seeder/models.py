"""The contract's tables as SQLAlchemy metadata, and the two sets of words they hold.

Column by column what the owners of the database schema and the frontend agreed on: names, types, defaults,
nullability, indexes. A column's comment says what it means, with its unit and where the value comes from;
``seeder schema show`` prints it beside the column and ``docs/schema.md`` explains more.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)


class ReportType(StrEnum):
    """Which of the two manifest tables a manifest is a row of; ids collide between them."""

    CUSTOM = "custom"
    CANNED = "canned"


class RunStatus(StrEnum):
    """Where a run stands. The last two are terminal: such a history row never changes again."""

    PENDING = (
        "pending"  # recorded and queued, or waiting for its next try; → running, error (cancelled, lost)
    )
    RUNNING = "running"  # a worker has it; → success, error, pending (a retry)
    SUCCESS = "success"  # the matview holds the new rows; terminal
    ERROR = "error"  # the run's errors say why, the matview keeps its old rows; terminal


@dataclass(frozen=True, slots=True)
class Contract:
    """The contract's five tables in one schema: three that seeder reads and two that it writes."""

    schema: str
    metadata: MetaData
    custom_manifest: Table
    canned_manifest: Table
    canned_report: Table
    history: Table
    status: Table

    @property
    def inputs(self) -> tuple[Table, ...]:
        """The tables that hold the manifests; seeder only reads them."""
        return self.custom_manifest, self.canned_manifest, self.canned_report

    @property
    def outputs(self) -> tuple[Table, ...]:
        """The tables that seeder writes."""
        return self.history, self.status


@cache
def contract(schema: str) -> Contract:
    """The contract's tables in `schema`, the setting ``SEEDER_SCHEMA``."""
    metadata = MetaData(schema=schema)
    return Contract(
        schema=schema,
        metadata=metadata,
        custom_manifest=_custom_manifest(metadata),
        canned_manifest=_canned_manifest(metadata),
        canned_report=_canned_report(metadata),
        history=_history(metadata),
        status=_status(metadata),
    )


# --- what seeder reads: only the key is required, so that a faulty manifest can be read and reported -----


def _custom_manifest(metadata: MetaData) -> Table:
    return Table(
        "seeder_custom_report_manifest",
        metadata,
        Column(
            "id", Integer, primary_key=True, autoincrement=False, comment="manifest_id of a custom report"
        ),
        Column("table_name", Text, comment="the matview: schema.name, or a bare name in this schema"),
        Column("report_name", Text, comment="what people call the report"),
        Column("agency_id", Integer, comment="the agency's id"),
        Column("agency_slug", Text, comment="the agency's short name; never changes"),
        Column("query", Text, comment="one SELECT; may hold :agency_id, :agency_slug, :manifest_id"),
        Column("database_id", Integer, comment="a key of SEEDER_DATABASES; null is the reporting database"),
        Column("enabled", Boolean, server_default=text("true"), comment="refreshed only when true"),
        comment="One row is one report of one agency, with its own SQL.",
    )


def _canned_manifest(metadata: MetaData) -> Table:
    return Table(
        "seeder_canned_report_manifest",
        metadata,
        Column(
            "id", Integer, primary_key=True, autoincrement=False, comment="manifest_id of a canned report"
        ),
        Column("agency_id", Integer, comment="the agency's id"),
        Column("agency_slug", Text, comment="the agency's short name; never changes"),
        Column("canned_report_id", Integer, comment="id in seeder_canned_report"),
        comment="One row is one agency's subscription to a canned report.",
    )


def _canned_report(metadata: MetaData) -> Table:
    return Table(
        "seeder_canned_report",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False, comment="the report's id"),
        Column(
            "table_name", Text, comment="the matview; may hold {agency_slug}, {agency_id} or {manifest_id}"
        ),
        Column("report_name", Text, comment="what people call the report"),
        Column("query", Text, comment="one SELECT; may hold :agency_id, :agency_slug, :manifest_id"),
        Column("database_id", Integer, comment="a key of SEEDER_DATABASES; null is the reporting database"),
        comment="One row is one report that any number of agencies subscribe to.",
    )


# --- what seeder writes -----------------------------------------------------------------------------------


def _history(metadata: MetaData) -> Table:
    name = "seeder_run_history"
    return Table(
        name,
        metadata,
        Column("id", BigInteger, primary_key=True, comment="order of recording"),
        Column(
            "run_id",
            Text,
            nullable=False,
            comment="<seeding_id>.<report_type>-<manifest_id>; Celery's task id",
        ),
        Column("manifest_id", Integer, nullable=False, comment="id in the manifest table of report_type"),
        Column(
            "table_name", Text, nullable=False, comment="as the manifest writes it, placeholders filled in"
        ),
        Column("report_name", Text, nullable=False, comment="the manifest's, at the time of the run"),
        Column("agency_id", Integer, nullable=False, comment="the manifest's, at the time of the run"),
        Column("agency_slug", Text, nullable=False, comment="the manifest's, at the time of the run"),
        Column("report_type", Text, nullable=False, comment="custom or canned"),
        Column("status", Text, nullable=False, comment="pending, running, success or error"),
        Column(
            "start_time",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("now()"),
            comment="when a worker began; until then when the run was recorded",
        ),
        Column("finish_time", DateTime(timezone=True), comment="when it became success or error"),
        Column("duration_seconds", Integer, comment="wall time by the database's clock, rounded up"),
        Column(
            "records_processed",
            BigInteger,
            server_default=text("0"),
            comment="rows in the matview after the run",
        ),
        Column(
            "bytes_processed",
            BigInteger,
            server_default=text("0"),
            comment="pg_total_relation_size of the matview, indexes and TOAST included",
        ),
        Column("memory_usage_mb", Integer, comment="peak of the PostgreSQL backend; null when unknown"),
        Column("cpu_percentage", Integer, comment="of one core, the PostgreSQL backend's; null when unknown"),
        Column(
            "consecutive_failures",
            Integer,
            server_default=text("0"),
            comment="runs in a row that ended in error, this one included",
        ),
        Column("errors", Text, comment="what went wrong, for the report's author; null after a success"),
        Column(
            "created_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("now()"),
            comment="when the run was recorded",
        ),
        Column(
            "updated_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("now()"),
            comment="when the run last changed status",
        ),
        # Two that its owners may leave out; what is lost then.
        Column(
            "note",
            Text,
            comment="what a person should know of a success",
            info={"optional": "what a person should know of a success is written nowhere"},
        ),
        Column(
            "attempts",
            Integer,
            comment="how many tries have ended or were lost so far",
            info={"optional": "how often a run was tried is counted in Redis alone, which may be emptied"},
        ),
        *_word_checks(name),
        # Names as PostgreSQL itself gives them, so that an index its owners made without naming it is found
        # by "create index if not exists" and not made twice.
        Index(f"{name}_run_id_idx", "run_id", unique=True),
        Index(f"{name}_table_name_idx", "table_name"),
        Index(f"{name}_agency_slug_idx", "agency_slug"),
        Index(f"{name}_start_time_idx", text("start_time desc")),
        comment="One row is one run: one refresh of one manifest in one seeding.",
    )


def _status(metadata: MetaData) -> Table:
    name = "seeder_job_status"
    return Table(
        name,
        metadata,
        Column("table_name", Text, primary_key=True, comment="as in seeder_run_history"),
        Column("manifest_id", Integer, nullable=False, comment="of the table's owner"),
        Column("report_name", Text, nullable=False, comment="of the table's owner"),
        Column("report_type", Text, nullable=False, comment="custom or canned"),
        Column("agency_id", Integer, nullable=False, comment="of the table's owner"),
        Column("agency_slug", Text, nullable=False, comment="of the table's owner"),
        Column("status", Text, nullable=False, comment="of the last run: pending, running, success or error"),
        Column("duration_seconds", Integer, server_default=text("0"), comment="of the last run, rounded up"),
        Column("start_time", DateTime(timezone=True), comment="when the last run began"),
        Column(
            "consecutive_failures",
            Integer,
            server_default=text("0"),
            comment="runs in a row that ended in error",
        ),
        Column("last_run_id", Text, comment="run_id of the last run in seeder_run_history"),
        Column("last_errors", Text, comment="of the last run; null after a success"),
        Column(
            "updated_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("now()"),
            comment="when the last run last changed status",
        ),
        *_word_checks(name),
        Index(f"{name}_agency_slug_idx", "agency_slug"),
        comment="One row is one table's latest run.",
    )


def _word_checks(table: str) -> tuple[CheckConstraint, ...]:
    """The two columns that hold words of a fixed set, each checked by the database too."""
    return tuple(
        CheckConstraint(f"{column} in ({words})", name=f"{table}_{column}_check")
        for column, words in (("report_type", _sql_words(ReportType)), ("status", _sql_words(RunStatus)))
    )


def _sql_words(words: type[StrEnum]) -> str:
    return ", ".join(f"'{word}'" for word in words)
