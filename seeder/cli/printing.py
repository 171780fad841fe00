"""Prints to a terminal, and as JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from seeder.cli.fitting import plain
from seeder.cli.output import is_unicode
from seeder.cli.tables import Styled, Table
from seeder.history import Standing
from seeder.wording import first_line as first_line
from seeder.wording import number as number
from seeder.wording import size as size
from seeder.wording import took as took

#: Of each standing.
STYLES = {
    Standing.SUCCESS: "green", Standing.ERROR: "red", Standing.RUNNING: "cyan", Standing.PENDING: "yellow",
    Standing.CANCELLED: "dim", Standing.NOT_RUN: "yellow",
}  # fmt: skip

#: If the output isn't a terminal nothing is wrapped: grep needs whole lines.
PIPE_WIDTH = 1_000_000


class Terminal(Console):
    """Rich's console, except that a reader who closes the output is handled where the command ends
    (seeder/cli/output.py). Rich itself would exit with a failure's code."""

    def on_broken_pipe(self) -> None:
        # Rich calls this while it handles the BrokenPipeError.
        raise


def console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Terminal(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPE_WIDTH)


def print_json(value: object) -> None:
    """Print values as JSON: dataclasses as objects, times in ISO 8601 with offset."""
    # What can't be encoded would be replaced, and JSON can say it in ASCII.
    ascii_only = not is_unicode(sys.stdout)
    json.dump(value, sys.stdout, default=_plain, indent=2, ensure_ascii=ascii_only)
    sys.stdout.write("\n")


def print_table(out: Console, table: Table) -> None:
    """A table as wide as the terminal at most."""
    around = {"": ("", "")}
    written = []
    for line in table.lines(out.width if out.is_terminal else None):
        for words, style in line:
            if style not in around:
                around[style] = _around(out, style)
            before, after = around[style]
            written.append(f"{before}{words}{after}")
        written.append("\n")
    out.file.write("".join(written))


def _around(out: Console, style: str) -> tuple[str, str]:
    """What switches a style on and off on this terminal."""
    with out.capture() as captured:
        out.print(Text("|", style), end="")
    before, _, after = captured.get().partition("|")
    return before, after


def text(value: str | None) -> str:
    """Text from elsewhere, without what rich would take for markup or a terminal for commands."""
    return escape(plain(value))


@contextmanager
def progress(what: str, out: Console) -> Iterator[tuple[Callable[[int], object], Callable[[int], object]]]:
    """A bar while something goes on, gone afterwards and only there on a terminal: how to tell it of how many
    it is, and how to tell it that so many more are done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda total: bar.update(task, total=total), lambda count: bar.advance(task, count)


def status_text(standing: Standing | None) -> str:
    """For a sentence, with rich's markup."""
    shown = status_cell(standing)
    return f"[{shown.style}]{shown.text}[/]"


def status_cell(standing: Standing | None) -> Styled:
    """Of a run; None is never run."""
    return Styled("never run", "dim") if standing is None else Styled(standing.words, STYLES[standing])


def counted(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``"""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def moment(value: datetime | None) -> str:
    return "" if value is None else f"{value.astimezone():%Y-%m-%d %H:%M:%S}"


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
