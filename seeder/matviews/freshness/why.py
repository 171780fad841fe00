"""Why a matview is refreshed although it might be unchanged: values to decide by, and their words."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Of what kind a reason is. Those that a query has for good, then those of the moment."""

    FOREIGN = "foreign"
    SEQUENCE = "sequence"
    CATALOGUE = "catalogue"
    TEMPORARY = "temporary"
    UNLOGGED = "unlogged"
    ACCESS_METHOD = "access_method"
    ROW_SECURITY = "row_security"
    OWN_RECORD = "own_record"
    FUNCTION = "function"
    BODY = "body"
    CONVERSION = "conversion"
    TYPE = "type"
    EXPRESSION = "expression"
    SYSTEM_COLUMN = "system_column"
    NOT_OWNER = "not_owner"
    DISTRUSTED = "distrusted"

    NOT_THERE = "not_there"
    SQL = "sql"
    NO_EVIDENCE = "no_evidence"
    TOUCHED = "touched"
    EPOCH = "epoch"
    SETTINGS = "settings"
    DEFINITION = "definition"
    WRITTEN = "written"
    REWRITTEN = "rewritten"
    SOURCES = "sources"
    BEING_WRITTEN = "being_written"
    BUSY = "busy"
    HIDDEN = "hidden"
    NOT_COUNTED = "not_counted"


WORDS = {
    Kind.FOREIGN: "reads the foreign table {what}",
    Kind.SEQUENCE: "reads the sequence {what}",
    Kind.CATALOGUE: "reads {what}, which PostgreSQL itself writes to",
    Kind.TEMPORARY: "reads the temporary table {what}",
    Kind.UNLOGGED: "reads the unlogged table {what}",
    Kind.ACCESS_METHOD: "reads {what}, which is stored by another access method than heap",
    Kind.ROW_SECURITY: "reads {what}, which has row security",
    Kind.OWN_RECORD: "reads {what}, to which seeder itself writes",
    Kind.FUNCTION: "calls {what}",
    Kind.BODY: "calls {what}, whose body can't be followed",
    Kind.CONVERSION: "turns text into {what}, where it may say now or depend on the catalogue",
    Kind.TYPE: "uses the type {what}, of which too little is known",
    Kind.EXPRESSION: "uses {what}",
    Kind.SYSTEM_COLUMN: "reads a system column such as ctid or xmax",
    Kind.NOT_OWNER: "its materialized view belongs to {what}, so nothing can be noted on it",
    Kind.DISTRUSTED: "an audit found it wrong {what}; `seeder audit --trust` has it skipped again",
    Kind.NOT_THERE: "its materialized view is not there, or holds no rows yet",
    Kind.SQL: "its SQL has changed, or what its names mean",
    Kind.NO_EVIDENCE: "no run has noted yet what its sources were like",
    Kind.TOUCHED: "somebody has refreshed or altered its materialized view since",
    Kind.EPOCH: "the server, or its statistics, began anew since",
    Kind.SETTINGS: "a setting that results depend on, such as TimeZone, has changed",
    Kind.DEFINITION: "a view, a function or a type that it uses has changed",
    Kind.WRITTEN: "{what} was written to: {number} row{s}",
    Kind.REWRITTEN: "{what} was truncated, altered or rewritten",
    Kind.SOURCES: "its sources are others now",
    Kind.BEING_WRITTEN: "{what} is being written to",
    Kind.BUSY: "{what} has been at work too long to have told all it has written",
    Kind.HIDDEN: "the sessions of other roles can't be seen: grant pg_read_all_stats to {what}",
    Kind.NOT_COUNTED: "writes aren't counted everywhere: track_counts is off {what}",
}


@dataclass(frozen=True, order=True)
class Why:
    """One reason."""

    kind: Kind
    #: The object or the session that it is about, as people name it.
    what: str = ""
    number: int = 0

    def __str__(self) -> str:
        return WORDS[self.kind].format(what=self.what, number=self.number, s="" if self.number == 1 else "s")


def told(reasons: tuple[Why, ...], most: int = 3) -> str:
    """In one line."""
    more = f" and {len(reasons) - most} more" if len(reasons) > most else ""
    return "; ".join(map(str, reasons[:most])) + more
