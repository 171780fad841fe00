"""Handles failing output of a command: characters it can't encode, a reader that is gone, a full disk."""

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from seeder.errors import UserError

#: What a shell sees of a program that was ended by SIGPIPE, as most are when their reader goes.
READER_GONE = 128 + 13

#: Of the medium that is written to.
FULL_OR_BROKEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class OutputRefused(UserError):
    """The output can't be written: {reason}. What the command was to do may be done already: look with
    `seeder status` before you repeat it."""


def is_unicode(stream: TextIO) -> bool:
    try:
        return codecs.lookup(stream.encoding or "ascii").name.startswith("utf")
    except LookupError:
        return False


@contextmanager
def lenient_output() -> Iterator[None]:
    """A block that prints. Characters that the output can't encode are replaced, and a reader that closes its
    end, as in `seeder status | head -1`, ends the command silently."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by whoever started the command (`>&-`).
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    output = sys.stdout
    try:
        try:
            yield
        finally:
            # Rather than at the interpreter's end, where it would be a traceback.
            output.flush()
    except (BrokenPipeError, SystemExit) as ended:
        # Typer makes a failure of it that it has seen itself.
        if not isinstance(ended, BrokenPipeError) and not isinstance(ended.__context__, BrokenPipeError):
            raise
        _write_no_more(output)
        raise SystemExit(READER_GONE) from None
    except OSError as error:
        if error.errno not in FULL_OR_BROKEN or error.filename is not None:
            raise
        _write_no_more(output)
        raise OutputRefused(reason=error.strerror) from None


def _write_no_more(output: TextIO) -> None:
    """What is still buffered goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output.fileno())
    os.close(nowhere)
