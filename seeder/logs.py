"""Our log lines: one event with its facts as key=value, through the standard library's logging."""

import logging

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from seeder.wording import shortened


def _shortened(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The same for the facts of our own lines."""
    for name, fact in event.items():
        if isinstance(fact, str):
            event[name] = shortened(fact)
    return event


#: Always this one list: a logger keeps the list that it was first used with.
PROCESSORS: list[Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.processors.format_exc_info,
    _shortened,
    structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True),
]


def configure() -> None:
    """Set up our log lines; each entry point calls it. Celery's handlers and formats apply to them too."""
    structlog.configure(
        processors=PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def follow(celery_level: int) -> None:
    """Set the level of our lines after Celery has set its own. At its default, WARNING, a log wouldn't say
    what a worker does, and at INFO Celery itself writes two lines for each run."""
    ours = logging.INFO if celery_level == logging.WARNING else logging.NOTSET
    logging.getLogger("seeder").setLevel(ours)
