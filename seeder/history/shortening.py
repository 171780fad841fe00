"""Shorten long errors for the record: some quote a value of a megabyte, and a page shows many errors."""

LONGEST_BYTES = 8192

#: What is kept of the end: hint, place in the query and database come last (seeder.postgres.failures.report).
TAIL_BYTES = 1024

LEFT_OUT = "[… {left_out:,} of {whole:,} bytes are left out here …]"


def shortened(words: str) -> str:
    """The words, or where they are too long their beginning and end with a line between that says so.

    They begin with the SQLSTATE. The end begins with a line where it has the beginning of one.
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
