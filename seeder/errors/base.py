"""What all errors of seeder's have in common: the docstring is the message, and the facts fill its gaps."""

from typing import Any, Self


class SeederError(Exception):
    """Something in seeder itself is wrong: {what}. This is a bug; please report it."""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(str(self))

    def __str__(self) -> str:
        return " ".join((type(self).__doc__ or "").split()).format(**self.facts)

    def __reduce__(self) -> tuple[Any, ...]:
        # The prefork pool pickles exceptions from child to parent; the facts are keywords.
        return _rebuild, (type(self), self.facts)

    @classmethod
    def rebuilt(cls, facts: dict[str, Any]) -> Self:
        return cls(**facts)


def _rebuild(kind: type[SeederError], facts: dict[str, Any]) -> SeederError:
    return kind.rebuilt(facts)


class Duplicate(SeederError):
    """The run {run_id} is over, or alive elsewhere; this message is dropped."""
