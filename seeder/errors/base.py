"""The base of seeder's errors: a class's docstring is its message, and facts fill the gaps in it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, TypeVar, cast, overload

T = TypeVar("T")


class SeederError(Exception):
    """Something in seeder itself is wrong: {what}. This is a bug; please report it."""

    def __init__(self, **facts: object) -> None:
        #: They can't be changed: the message is made from them here, and only here.
        self.facts: Mapping[str, object] = MappingProxyType(facts)
        super().__init__(" ".join((type(self).__doc__ or "").split()).format(**facts))

    def __reduce__(self) -> tuple[object, ...]:
        # The prefork pool pickles exceptions from child to parent; the facts are keywords.
        return _made, (type(self), dict(self.facts))


def _made(kind: type[SeederError], facts: dict[str, object]) -> SeederError:
    return kind(**facts)


class Fact(Generic[T]):
    """A fact that the program itself reads from an error: its class declares the type."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, error: None, kind: type) -> "Fact[T]": ...
    @overload
    def __get__(self, error: SeederError, kind: type) -> T: ...

    def __get__(self, error: SeederError | None, kind: type) -> "Fact[T] | T":
        return self if error is None else cast("T", error.facts[self._name])

    def __set__(self, error: SeederError, value: T) -> None:
        message = f"the message was made from {self._name}: make a new error"
        raise AttributeError(message)


class Duplicate(SeederError):
    """The run {run_id} is over, or alive elsewhere; this message is dropped."""
