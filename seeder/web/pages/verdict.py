"""One sentence that tells whether everything is in order."""

from dataclasses import dataclass

from seeder.history import Standing
from seeder.web.pages.tiles import Counts
from seeder.web.wire.summary import SeedingRow


@dataclass(frozen=True)
class Verdict:
    """``tone`` is a colour of tokens.css; ``others`` what is unusual beside it."""

    tone: str
    words: str
    others: str = ""


def verdict(counts: Counts, running: SeedingRow | None = None) -> Verdict:
    """The worst of it first. Manifests that are switched off count for nothing."""
    enabled, flags = counts.flags["enabled"], counts.flags
    found = [
        ("error", flags["isFailing"], "is failing", "are failing"),
        ("warn", flags["isLongRunning"], "takes unusually long", "take unusually long"),
        ("warn", counts.standings.get(Standing.NOT_RUN, 0), "was not run", "were not run"),
        ("warn", flags["isStale"], "is stale", "are stale"),
    ]
    said = [(tone, count, one if count == 1 else many) for tone, count, one, many in found if count]
    if said:
        tone, count, words = said[0]
        others = ", ".join(f"{number} {what}" for _, number, what in said[1:])
        return Verdict(tone, f"{count:,} of {reports(enabled)} {words}", others)
    if not counts.all:
        return Verdict("never", "No reports yet")
    if not enabled:
        return Verdict("never", "Every report is switched off")
    if counts.unrun == enabled:
        return Verdict("never", "Nothing has run yet")
    well = f"All {reports(enabled)} are in order" if enabled > 1 else "The report is in order"
    beside = []
    if counts.unrun:
        # There is nothing to read yet where a reader expects it.
        ran = enabled - counts.unrun
        well = f"{ran:,} of {reports(enabled)} {'is' if ran == 1 else 'are'} in order"
        beside.append(f"{counts.unrun:,} {'has' if counts.unrun == 1 else 'have'} never run")
    if running is not None:
        beside.append(f"{running.pending + running.running:,} to go")
    return Verdict("success" if running is None else "running", well, ", ".join(beside))


def reports(count: int) -> str:
    return f"{count:,} report" if count == 1 else f"{count:,} reports"
