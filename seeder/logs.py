"""Our log lines: one event with its facts as key=value, through the standard library's logging."""

import structlog


def configure() -> None:
    """Called by the entry points; Celery's own handlers and formats then apply to our lines too."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
