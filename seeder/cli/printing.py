"""How things look in a terminal, and as JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from seeder.history.cancelled import is_cancelled
from seeder.wording import first_line as first_line
from seeder.wording import number as number
from seeder.wording import size as size
from seeder.wording import took as took

STYLES = {"success": "green", "error": "red", "running": "cyan", "pending": "yellow"}

#: Where the output is no terminal nothing is folded: whoever greps wants whole lines.
PIPE_WIDTH = 1000


def console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPE_WIDTH)


def print_json(value: Any) -> None:
    """Values of ours as JSON: dataclasses as objects, moments in ISO 8601 with offset."""
    json.dump(value, sys.stdout, default=_plain, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def table(*columns: str, right: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """A table with these columns; those in ``whole`` hold names to be copied and are never folded."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=column in whole or column in right,
        )
    return made


def text(value: str | None) -> str:
    """Text of others, which may hold what rich would take for markup or a terminal for commands."""
    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in value or ""))


@contextmanager
def progress(what: str, out: Console) -> Iterator[tuple[Callable[[int], object], Callable[[int], object]]]:
    """A bar while something goes on, gone afterwards and only there on a terminal: how to tell it of how many
    it is, and how to tell it that so many more are done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda total: bar.update(task, total=total), lambda count: bar.advance(task, count)


def status_text(status: str | None, errors: str | None = None) -> str:
    """Of a run, with what its errors say; None is never run."""
    if status is None:
        return "[dim]never run[/]"
    if status == "error" and is_cancelled(errors):
        return "[dim]cancelled[/]"
    return f"[{STYLES[status]}]{status}[/]"


def counted(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``"""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def moment(value: datetime | None) -> str:
    return "" if value is None else f"{value.astimezone():%Y-%m-%d %H:%M:%S}"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
