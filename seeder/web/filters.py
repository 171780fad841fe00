"""Functions that templates call: addresses of pages, and values formatted for people."""

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from seeder.run_ids import seeding_of
from seeder.wording import brief, duration, first_line, number, signed, size, took


def job_url(table_name: str) -> str:
    # %2F too: a name with a/../b in it must not become another path on its way.
    return f"/jobs/{quote(table_name, safe='')}"


def agency_url(slug: str) -> str:
    return f"/agencies/{quote(slug, safe='')}"


def night_url(seeding_id: str) -> str:
    return f"/nights/{quote(seeding_id, safe='')}"


def refresh_url(table_name: str) -> str:
    return f"/api/jobs/{quote(table_name, safe='')}/refresh"


def agency_refresh_url(slug: str) -> str:
    return f"/api/agencies/{quote(slug, safe='')}/refresh"


def cancel_url(run_id: str) -> str:
    return f"/api/runs/{quote(run_id, safe='')}/cancel"


def iso(moment: datetime) -> str:
    """For the attribute of a ``time`` element, which the script reads."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def utc(moment: datetime) -> str:
    """For browsers without JavaScript."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def rows_change(now: int | None, before: int | None) -> str:
    """``+1,204``, ``−3``, ``±0``; empty where either is unknown."""
    return "" if now is None or before is None else signed(number(now - before), now - before)


def size_change(now: int | None, before: int | None) -> str:
    """``+24 kB``, ``−3 MB``, ``±0``; empty where either is unknown."""
    if now is None or before is None:
        return ""
    return signed(size(now - before) if now != before else "0", now - before)


def is_steep(now: int | None, before: int | None) -> bool:
    """Whether it is more or less by over a fifth."""
    return now is not None and before is not None and 5 * abs(now - before) > before


def is_slow(seconds: int | None, usual: int | None) -> bool:
    """Whether it took twice as long as usual, and long enough for a person to care."""
    return seconds is not None and usual is not None and seconds >= max(2 * usual, usual + 5)


def isolated(text: str) -> str:
    """For an attribute, where no <bdi> can stand: text from right to left turns nothing beside it."""
    return f"\u2068{text}\u2069"


def code_point(character: str) -> str:
    """``U+202E``, for what can't be seen itself."""
    return f"U+{ord(character):04X}"


FILTERS: dict[str, Callable[..., object]] = {
    made.__name__: made
    for made in (
        job_url, agency_url, night_url, refresh_url, agency_refresh_url, cancel_url, iso, utc,
        duration, number, size, rows_change, size_change, is_steep, is_slow, isolated, first_line,
        code_point, brief, took, seeding_of,
    )
}  # fmt: skip
