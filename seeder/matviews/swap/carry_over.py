"""Sets everything that is set on the old matview on its copy as well: the difference of two sets of lines."""

from functools import cache

import psycopg2
import structlog

from seeder.errors import PartUnfit
from seeder.matviews.swap.attributes import Attributes, Line, read_attributes
from seeder.matviews.swap.copies import Pair
from seeder.postgres.failures import one_line
from seeder.postgres.session import Session

log = structlog.get_logger(__name__)


def attribute_changes(old: Attributes, copy: Attributes) -> tuple[list[Line], list[Line]]:
    """The lines to remove from the copy, and the old matview's lines to add to it."""
    wanted = {
        line.subject: line for line in old.lines.values() if line.needs is None or line.needs in copy.has
    }
    wrong = [
        line
        for line in reversed(list(copy.lines.values()))
        if line.unmake and wanted.get(line.subject) != line
    ]
    return wrong, [line for line in wanted.values() if copy.lines.get(line.subject) != line]


def carry_over(session: Session, pair: Pair) -> Attributes:
    """Set everything on the copy that is set on the old matview, in the open transaction; returns the latter.

    Raises PartUnfit, naming the index or statistics object that can't be made for the copy.
    """
    old, copy = pair.old, pair.copy
    model = read_attributes(session, old.oid, copy.name, pair.role)
    for option in model.unknown:
        say_left_alone(option)
    # The owner first: with it the privileges on the copy become others.
    session.run_text(model.lines["owner"].make)
    wrong, lacking = attribute_changes(model, read_attributes(session, copy.oid, copy.name, pair.role))
    for line in wrong:
        session.run_text(str(line.unmake))
    for line in lacking:
        try:
            session.run_text(line.make)
        except psycopg2.ProgrammingError as error:
            part = next((own for twin, own in model.twins.items() if twin in line.subject), None)
            if part is None:
                raise
            reason = model.own_words(error.diag.message_primary or one_line(error))
            raise PartUnfit(part=part, table_name=str(old.name), reason=reason) from error
    return model


@cache
def say_left_alone(option: str) -> None:
    """Once in a process: it may be at each column of each matview."""
    log.info("an option that seeder doesn't know isn't carried over to a new build", option=option)


def compare_attributes(session: Session, pair: Pair) -> tuple[Attributes, str | None]:
    """The old matview's attributes, and the first one in which the copy differs, or None."""
    model, found = (
        read_attributes(session, oid, pair.copy.name, pair.role) for oid in (pair.old.oid, pair.copy.oid)
    )
    wrong, lacking = attribute_changes(model, found)
    return model, next((model.own_words(line.subject) for line in (*lacking, *wrong)), None)
