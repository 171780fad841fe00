"""The words of the directives' grammar: names as in SQL, numbers with units, and signs."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple, NoReturn

from seeder.errors import DirectiveRefused
from seeder.sql.names import LONGEST_IDENTIFIER, folded
from seeder.sql.tokens import position

#: More would be a mistake, and PostgreSQL's calendar is far from its beginning.
LONGEST = timedelta(days=10_000)

UNITS = {
    unit: timedelta(seconds=seconds)
    for units, seconds in (
        ("ms", 0.001),
        ("s second seconds", 1),
        ("min minute minutes", 60),
        ("h hour hours", 3600),
        ("d day days", 86_400),
        ("week weeks", 7 * 86_400),
    )
    for unit in units.split()
}
_WORD = re.compile(
    r"""
      (?P<space>[ \t\r\n\f\v]+)
    | (?P<number>[0-9]+(?:\.[0-9]+)?)
    | (?P<name>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)  # scan.l: identifier
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<sign><=|>=|[-<>=(),%])
    | (?P<unknown>.)
    """,
    re.VERBOSE | re.DOTALL,
)

#: The characters of a table_name, the gaps in it included.
_TABLE = re.compile(r"[A-Za-z0-9_$.{}]+")


def shortened(text: str) -> str:
    """For messages, as a name may go on and on."""
    return text if len(text) <= 40 else text[:39] + "…"


class Word(NamedTuple):
    kind: str
    text: str
    start: int


class Words:
    """Reads a piece of a text word by word; what isn't as expected raises DirectiveRefused with its place."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text = text
        self._words = [
            Word(str(found.lastgroup), found[0], found.start())
            for found in _WORD.finditer(text, start, end)
            if found.lastgroup != "space"
        ]
        self._words.append(Word("end", "", end))
        self._at = 0

    @property
    def word(self) -> Word:
        return self._words[self._at]

    @property
    def done(self) -> bool:
        return self.word.kind == "end"

    @property
    def next_word(self) -> str:
        """For messages."""
        return shortened(self.word.text) or "the end"

    def refuse(self, reason: str, offset: int | None = None) -> NoReturn:
        where = position(self._text, self.word.start if offset is None else offset)
        raise DirectiveRefused(reason=reason, position=where)

    def take(self, kind: str, wanted: str) -> Word:
        word = self.word
        if word.kind != kind:
            self.refuse(f"{wanted} is expected, not {self.next_word}")
        self._at += 1
        return word

    def sign(self, *signs: str) -> str:
        if self.word.text not in signs or self.word.kind != "sign":
            self.refuse(f"{' or '.join(signs)} is expected, not {self.next_word}")
        self._at += 1
        return self._words[self._at - 1].text

    def passed(self, sign: str) -> bool:
        """Whether the sign is next; then it is taken."""
        is_next = self.word.kind == "sign" and self.word.text == sign
        self._at += is_next
        return is_next

    def name(self, what: str) -> str:
        word = self.word
        if word.kind == "name":
            name = folded(word.text)
        elif word.kind == "quoted":
            name = word.text[1:-1].replace('""', '"')
        else:
            self.refuse(f"{what} is expected, not {self.next_word}")
        if not name:
            self.refuse("a name can't be empty")
        if "\n" in name or "\r" in name:
            self.refuse("a name here can't hold a line break")
        if len(name.encode()) > LONGEST_IDENTIFIER:
            self.refuse(f"a name has at most {LONGEST_IDENTIFIER} bytes")
        self._at += 1
        return name

    def table(self) -> str:
        """A manifest's table_name, as that one's row has it: case included, and without quotes."""
        if self.word.kind == "quoted":
            self.refuse("write the table as its manifest does, without quotes")
        found = _TABLE.match(self._text, self.word.start, self._words[-1].start)
        if found is None:
            self.refuse(f"a table is expected, not {self.next_word}")
        while self.word.start < found.end():
            self._at += 1
        return found[0]

    def duration(self, longest: timedelta = LONGEST) -> timedelta:
        start = self.word.start
        number = self.number()
        word = self.take("name", "a unit such as s, min, h or days")
        unit = UNITS.get(folded(word.text))
        if unit is None:
            self.refuse(f"there is no unit {shortened(word.text)}; there are {', '.join(UNITS)}", word.start)
        milliseconds = number * (unit // timedelta(milliseconds=1))
        if milliseconds != int(milliseconds) or not milliseconds:
            self.refuse("it must be a whole number of milliseconds, and at least one", start)
        if milliseconds > longest // timedelta(milliseconds=1):
            self.refuse(f"the most is {longest.days} days", start)
        return timedelta(milliseconds=int(milliseconds))

    def number(self) -> Decimal:
        word = self.take("number", "a number")
        if len(word.text) > 18:
            self.refuse("the number is too long", word.start)
        return Decimal(word.text)
