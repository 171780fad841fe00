"""How numbers, durations and long texts are written for people: on pages, in a terminal, in the log."""

from collections.abc import Sequence
from datetime import UTC, datetime


def number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Bytes in the unit that reads best, with the names and steps of pg_size_pretty."""
    if value is None:
        return ""
    amount = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(amount) < 10240:
            return f"{amount:,.0f} {unit}"
        amount /= 1024
    return f"{amount:,.0f} TB"


def duration(seconds: int | None) -> str:
    """The two largest units: ``42 s``, ``3 min 05 s``, ``1 h 02 min``, ``2 d 04 h``."""
    if seconds is None:
        return ""
    minutes, left = divmod(max(seconds, 0), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left:02} h"
    if hours:
        return f"{hours} h {minutes_left:02} min"
    if minutes:
        return f"{minutes} min {left:02} s"
    return f"{left} s"


def lasted(seconds: int | None, start: datetime | None, finish: datetime | None) -> float | None:
    """The whole seconds that the record has of a run, rounded up; less than one where its moments tell so."""
    if seconds == 1 and start is not None and finish is not None:
        return min(1.0, (finish - start).total_seconds())
    return seconds


def took(seconds: int | None, start: datetime | None, finish: datetime | None) -> str:
    """``lasted`` in words."""
    known = lasted(seconds, start, finish)
    return "" if known is None else brief(known)


def brief(seconds: float) -> str:
    """A duration that may be shorter than what ``duration`` tells: ``under 1 s``."""
    return "under 1 s" if 0 < seconds < 1 else duration(round(seconds))


def signed(written: str, amount: int) -> str:
    """What ``number`` or ``size`` made of a difference, with its sign; the minus is the typographic one."""
    return f"+{written}" if amount > 0 else written.replace("-", "−") if amount < 0 else f"±{written}"


def listed(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """The first names, and how many more there are: a message can't hold 1,600."""
    shown = separator.join(names[:most])
    return shown if len(names) <= most else f"{shown} and {number(len(names) - most)} more"


#: How much of an error a list shows.
LONGEST_LINE = 200


def about(seconds: float) -> str:
    """``brief`` of what isn't known exactly: ``about 12 s``, ``under 1 s``."""
    return brief(seconds) if seconds < 1 else f"about {brief(seconds)}"


def exactly(moment: datetime) -> str:
    """To the millisecond, so that two in a row are told apart: ``2026-12-01 02:00:03.125 UTC``."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03} UTC"


def first_line(value: str | None) -> str:
    """The first line, cut where it is longer than a list can show."""
    line = (value or "").partition("\n")[0]
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


#: How much of an error the record and a log line keep. Some quote a value of a megabyte.
LONGEST_BYTES = 8192

#: What is kept of the end: hint, place in the query and database come last (seeder.errors.reports).
TAIL_BYTES = 1024

LEFT_OUT = "[… {left_out:,} of {whole:,} bytes are left out here …]"


def shortened(words: str) -> str:
    """The text, or where it is too long its beginning and its end, with a line between them that says so.

    The beginning has the SQLSTATE. The end starts with a whole line if it holds the beginning of one.
    """
    text = words.encode(errors="replace")
    if len(text) <= LONGEST_BYTES:
        return words
    end = text[-TAIL_BYTES:]
    end = end[end.find(b"\n") + 1 :]
    # The longest that the line between can be.
    line = LEFT_OUT.format(left_out=len(text), whole=len(text))
    beginning = text[: LONGEST_BYTES - len(end) - len(line.encode()) - 2]
    # A character that a cut went through is left out whole.
    first, last = (part.decode(errors="ignore") for part in (beginning, end))
    left_out = len(text) - len(first.encode()) - len(last.encode())
    return "\n".join((first, LEFT_OUT.format(left_out=left_out, whole=len(text)), last))
