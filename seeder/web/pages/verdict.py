"""What a person wants to know in the first second: is all well?"""

from dataclasses import dataclass

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
    if running is not None:
        return Verdict("running", well, f"{running.pending + running.running:,} to go")
    return Verdict("success", well)


def reports(count: int) -> str:
    return f"{count:,} report" if count == 1 else f"{count:,} reports"
