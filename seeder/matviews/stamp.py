"""The stamp: what seeder knows of a matview, as one line of JSON at the end of its comment.

It travels with the matview through dumps and restores, which a table of ours would not. A person's own
comment before it is kept.
"""

import json
from dataclasses import asdict, dataclass

from seeder.matviews.freshness.distrust import Distrust
from seeder.matviews.freshness.evidence import Evidence
from seeder.matviews.measure import Tally
from seeder.matviews.modes.costs import Costs

#: What the line begins with.
PREFIX = '{"seeder": '


@dataclass(frozen=True)
class Stamp:
    """The manifest that a matview was made for, and the SQL that it was made of."""

    #: The manifest's identity, ``custom-12``.
    manifest: str
    #: Hash of everything the SQL was made from; equal means that nothing needs to be looked at.
    source: str
    #: Hash of the rendered SQL's tokens; equal means that only the layout has changed.
    fingerprint: str
    #: Rows when the planner's statistics were last gathered.
    analyzed_rows: int | None
    #: Hash of the names of all that the matview read when the SQL last meant it (seeder.matviews.shape);
    #: None is not known.
    shape: str | None = None
    #: What PostgreSQL's counter of changes since then began at. None is as many as there were rows: they were
    #: gathered by the transaction that wrote the rows, whose changes are counted at its end.
    changes_when_analyzed: int | None = None
    #: The rows after the last run, where it is worth remembering.
    tally: Tally | None = None
    #: What its sources were like when its rows were made, where that can prove anything.
    evidence: Evidence | None = None
    #: Of which definitions it is known that nothing can be proved (seeder.matviews.freshness.taking).
    unprovable: str | None = None
    #: What an audit found, after which it isn't skipped until its SQL changes or a person says so.
    distrust: Distrust | None = None
    #: What its last refreshes took, where there is a choice (seeder.matviews.modes.weighing).
    costs: Costs | None = None


def read(comment: str | None) -> Stamp | None:
    """The stamp in a comment; None if there is no readable one."""
    last_line = (comment or "").rpartition("\n")[2]
    if not last_line.startswith(PREFIX):
        return None
    try:
        facts = json.loads(last_line)["seeder"]
        names = ("tally", "evidence", "distrust", "costs")
        tally, evidence, distrust, costs = (facts.pop(name, None) for name in names)
        return Stamp(
            **facts,
            tally=tally and Tally(**tally),
            evidence=evidence and Evidence.read(evidence),
            distrust=distrust and Distrust(**distrust),
            costs=costs and Costs.read(costs),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def written(comment: str | None, stamp: Stamp) -> str:
    """The comment with this stamp; a person's own text before it is kept."""
    own, _, last_line = (comment or "").rpartition("\n")
    if not last_line.startswith(PREFIX):
        own = comment or ""
    always = ("manifest", "source", "fingerprint", "analyzed_rows")
    facts = {name: value for name, value in asdict(stamp).items() if name in always or value is not None}
    line = json.dumps({"seeder": facts}, separators=(", ", ": "))
    return f"{own}\n{line}" if own else line
