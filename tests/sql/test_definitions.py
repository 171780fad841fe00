"""Two prints are one definition if any print of the one is any print of the other."""

from hypothesis import given
from hypothesis import strategies as st

from seeder.sql.definitions import MOST_READINGS, same_definition

#: What PostgreSQL would print of each text after reading it; a text that isn't there can't be read.
PRINTERS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdef"))


def prints(text: str, printer: dict[str, str]) -> set[str]:
    found = [text]
    for _ in range(MOST_READINGS):
        if (again := printer.get(found[-1])) is None or again in found:
            break
        found.append(again)
    return set(found)


@given(PRINTERS, st.sampled_from("abcdef"), st.sampled_from("abcdef"))
def test_they_are_the_same_if_and_only_if_their_prints_meet(
    printer: dict[str, str], one: str, other: str
) -> None:
    meet = bool(prints(one, printer) & prints(other, printer))
    assert same_definition(one, other, printer.get) == meet
    assert same_definition(other, one, printer.get) == meet


def test_nothing_is_read_again_where_they_are_equal() -> None:
    def unasked(_: str) -> str:
        raise AssertionError

    assert same_definition("a", "a", unasked)


def test_a_print_that_never_comes_to_rest_is_given_up() -> None:
    asked: list[str] = []

    def longer(text: str) -> str:
        asked.append(text)
        return text + "x"

    assert not same_definition("a", "b", longer)
    assert len(asked) == 2 * MOST_READINGS
