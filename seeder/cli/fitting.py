"""Measures, wraps and cuts text by a terminal's cells: a character may take two of them or none."""

import re
from collections.abc import Iterator

from rich.cells import cell_len

ELLIPSIS = "…"


def plain(value: str | None) -> str:
    """Text from elsewhere without the control characters that a terminal would interpret."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in value or "")


def cells(text: str) -> int:
    """How many columns of the terminal it takes up."""
    return len(text) if text.isascii() else sum(map(cell_len, letters(text)))


def letters(text: str) -> Iterator[str]:
    """What may not be broken apart: each character with the combining ones behind it."""
    letter = ""
    for character in text:
        if letter and cell_len(character) > 0:
            yield letter
            letter = ""
        letter += character
    if letter:
        yield letter


def padded(text: str, width: int, *, right: bool = False) -> str:
    gap = " " * (width - cells(text))
    return gap + text if right else text + gap


def cut(text: str, width: int) -> str:
    """As much of it as there is room for, with an ellipsis where something is missing."""
    return text if cells(text) <= width else _head(text, width - 1)[0] + ELLIPSIS


def wrapped(text: str, width: int, most: int | None = None) -> list[str]:
    """Lines of at most that many cells, broken between words where that is possible. ``most``: how many lines
    at most; the last of them then ends in an ellipsis.

    A letter that alone takes more than there is becomes a question mark.
    """
    lines: list[str] = []
    line, taken = "", 0
    for word in re.findall(r" +|[^ ]+", text.replace("\n", " ")):
        size = cells(word)
        if taken + size <= width:
            line, taken = line + word, taken + size
            continue
        if word[0] == " ":
            lines.append(line)
            line, taken = "", 0
            continue
        if line.strip() and size <= width:
            lines.append(line)
            line, taken = word, size
            continue
        # No line holds the word whole: it begins where there is room.
        rest = word
        while rest:
            head, rest = _head(rest, width - taken)
            line += head
            if rest:
                if not line:
                    line, rest = "?", "".join([*letters(rest)][1:])
                lines.append(line)
                line, taken = "", 0
        taken = cells(line)
        if most is not None and len(lines) > most:
            break
    lines.append(line)
    lines = [one.rstrip() for one in lines if one.strip()] or [""]
    if most is None or len(lines) <= most:
        return lines
    last = lines[most - 1]
    return [*lines[: most - 1], last + ELLIPSIS if cells(last) < width else cut(last + " ", width)]


def _head(text: str, width: int) -> tuple[str, str]:
    """The longest beginning that fits, and the rest."""
    if text.isascii():
        return text[: max(0, width)], text[max(0, width) :]
    taken, end = 0, 0
    for letter in letters(text):
        taken += cell_len(letter)
        if taken > width:
            break
        end += len(letter)
    return text[:end], text[end:]
