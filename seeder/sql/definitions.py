"""Whether two definitions that PostgreSQL printed are the same.

``pg_get_viewdef`` prints a parse tree, and what it prints, read again, may be another tree of the same
meaning: ``exists (select 'y' from t)`` is printed with ``'y'::text``, which a dump hands to the next server,
and that prints ``'y'::text AS text``. Read and printed a few times a definition stays what it is (seen on
15.20 and 18.6), so two of them are the same if any print of the one is any print of the other.
"""

from collections.abc import Callable

#: A print comes to rest after one or two readings; more is a print that PostgreSQL doesn't come to rest with.
MOST_READINGS = 4

#: What PostgreSQL prints of a definition that it has read again; None where it can't be read here.
Reread = Callable[[str], str | None]


def same_definition(one: str, other: str, reread: Reread) -> bool:
    """``one`` and ``other`` are prints; nothing is read again where they are equal."""
    ways = ([one], [other])
    for _ in range(MOST_READINGS):
        if set(ways[0]) & set(ways[1]):
            return True
        moved = False
        for way in ways:
            again = reread(way[-1])
            if again is not None and again not in way:
                way.append(again)
                moved = True
        if not moved:
            return False
    return bool(set(ways[0]) & set(ways[1]))
