"""``make chaos``: break things for some minutes, then see whether seeder has kept its promises."""

import argparse
import random
import signal
import sys
from collections.abc import Sequence

from chaos.trial import Verdict, trial
from seeder.errors import UserError

MINUTES = 3.0
MANIFESTS = 300
#: As many are shown, and of so many runs the timeline.
VIOLATIONS = 50
TIMELINES = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """0: every promise was kept; 1: one was not; 2: wrong use, or the servers don't start."""
    asked = _parser().parse_args(arguments)
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed
    # As Ctrl-C does: what was started is then ended, too.
    signal.signal(signal.SIGTERM, _interrupt)
    print(f"seed {seed}", flush=True)
    try:
        verdict = trial(seed, asked.minutes, asked.manifests, lambda words: print(words, flush=True))
    except UserError as error:
        sys.stderr.write(f"chaos: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    print(told(verdict, seed, asked.minutes))
    return 1 if verdict.violations else 0


def told(verdict: Verdict, seed: int, minutes: float) -> str:
    """What a person reads at the end: the faults, what was found, and how to have it again."""
    lines = [f"{count:4} {kind}" for kind, count in verdict.faults.items()]
    lines.append(
        f"{verdict.success} runs succeeded, {verdict.unchanged} of them as unchanged; "
        f"{verdict.error} failed; {verdict.not_run} were not run, as what they read had failed."
    )
    lines.append(
        f"{verdict.refreshes} refreshes and {verdict.writes} writes to what reports read were committed."
    )
    for one in verdict.violations[:VIOLATIONS]:
        lines.append(f"VIOLATION of “{one.promise}”: {one.what}")
    for run_id, told in list(verdict.timelines.items())[:TIMELINES]:
        lines += ["", f"The timeline of {run_id}:", *(f"  {line}" for line in told)]
    if verdict.violations:
        lines += ["", f"All logs are in {verdict.folder}."]
    again = f"make chaos SEED={seed} MINUTES={minutes:g}"
    lines.append(f"{len(verdict.violations)} violations. The same faults again: {again}")
    return "\n".join(lines)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of faults (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="draws the faults; default: another one each time")
    parser.add_argument("--manifests", type=int, default=MANIFESTS, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
