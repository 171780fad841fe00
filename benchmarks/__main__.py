"""``python -m benchmarks [readers|costs|load|viewers|makespan|fanout|unchanged|modes]``: measures.

Writes nothing but its temporary folder.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from benchmarks import costs, fan_out, load, makespan, modes, readers, real, tiny, unchanged, viewers, web
from benchmarks.arena import Arena, BenchmarkFailed, arena
from benchmarks.measuring import DEFAULT_POOL, Say, count, measure
from benchmarks.printing import machine, show, show_machine
from seeder import logs
from seeder.errors import UserError

REPETITIONS = {"tiny": 7, "real": 5}
CONCURRENCY = 4
#: Of the tables; a pipe would otherwise cut them to 80 columns.
WIDTH = 110
OTHER_POOLS = ("prefork",)


@dataclass(frozen=True)
class Measured:
    """What came out, for people and for other programs."""

    show: Callable[[Console], None]
    as_json: dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured; 1: something failed. A missed goal is a result, not a failure."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["web"]:
        return web.main(given[1:])
    # What seeder logs in this process mustn't get between the results.
    logs.configure()
    asked = _parser().parse_args(given)
    out = Console(stderr=asked.json, width=WIDTH)
    try:
        with arena() as place:
            facts = machine(place)
            measured = MEASURES[asked.what](place, asked, lambda words: out.print(words, highlight=False))
    except (BenchmarkFailed, UserError) as failure:
        sys.stderr.write(f"benchmarks: {failure}\n")
        return 1
    show_machine(out, facts)
    measured.show(out)
    if asked.json:
        print(json.dumps({"machine": facts, **measured.as_json}, indent=2))
    return 0


def _throughput(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    results = []
    if asked.only in (None, "tiny"):
        say("tiny: finding the query that takes 2.5 ms")
        workload = tiny.prepare(place, asked.views or tiny.VIEWS)
        pools = (DEFAULT_POOL, *OTHER_POOLS)
        repetitions = asked.repetitions or REPETITIONS["tiny"]
        result = measure(
            place, workload, pools, repetitions, asked.concurrency, 1, say, with_celery_alone=True
        )
        results.append(count(place, workload, result, 4, say))
    if asked.only in (None, "real"):
        say("real: generating and loading TPC-H data")
        workload = real.prepare(place, asked.views, asked.scale_factor)
        repetitions = asked.repetitions or REPETITIONS["real"]
        result = measure(place, workload, (DEFAULT_POOL,), repetitions, asked.concurrency, 5, say)
        results.append(count(place, workload, result, 6, say))
    # All legs as measured, and the ratios made of them.
    legs = [{**asdict(one), "ratios": {pool: one.ratios(pool) for pool in one.pools}} for one in results]
    return Measured(lambda out: show(out, results), {"workloads": legs})


def _readers(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    results = readers.measure(place, asked.rows, asked.repetitions or readers.REPETITIONS, say)
    return Measured(
        lambda out: readers.show(out, asked.rows, results), {"readers": [asdict(one) for one in results]}
    )


def _costs(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    prices, report = costs.measure(place, asked.rows, asked.repetitions or costs.REPETITIONS, say)
    return Measured(
        lambda out: costs.show(out, prices, report),
        {"costs": [asdict(price) for price in prices], "report_ms": report},
    )


def _load(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    nights = load.measure(place, asked.views or load.MANIFESTS, asked.concurrency, say)
    return Measured(
        lambda out: load.show(out, asked.concurrency, nights), {"load": [asdict(night) for night in nights]}
    )


def _viewers(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    views, repetitions = asked.views or tiny.VIEWS, asked.repetitions or viewers.REPETITIONS
    watched = viewers.measure(place, views, asked.viewers, repetitions, asked.concurrency, say)
    return Measured(
        lambda out: viewers.show(out, asked.viewers, watched),
        {"viewers": {**asdict(watched), "ratios": watched.ratios}},
    )


def _makespan(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    nights = makespan.measure(
        place,
        asked.views or makespan.REPORTS,
        asked.repetitions or makespan.REPETITIONS,
        asked.concurrency,
        say,
    )
    return Measured(
        lambda out: makespan.show(out, asked.concurrency, nights),
        {"makespan": [{**asdict(night), "ratio": night.ratio} for night in nights]},
    )


def _fan_out(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    manifests = asked.views or fan_out.MANIFESTS
    found = fan_out.measure(place, manifests, asked.repetitions or fan_out.REPETITIONS, say)
    return Measured(
        lambda out: fan_out.show(out, manifests, found),
        {"fanout": [asdict(one) for one in found], "graph_ratio": fan_out.graph_ratio(found)},
    )


def _unchanged(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    manifests = asked.views or unchanged.MANIFESTS
    repetitions = asked.repetitions or unchanged.REPETITIONS
    nights = unchanged.measure(place, manifests, repetitions, asked.concurrency, say)
    return Measured(
        lambda out: unchanged.show(out, manifests, nights),
        {"unchanged": [{**asdict(one), "ratio": one.ratio} for one in nights]},
    )


def _modes(place: Arena, asked: argparse.Namespace, say: Say) -> Measured:
    results = modes.measure(place, asked.rows, asked.repetitions or modes.REPETITIONS, say)
    return Measured(
        lambda out: modes.show(out, asked.rows, results),
        {"modes": [{**asdict(one), "ratios": one.ratios} for one in results]},
    )


MEASURES: dict[str, Callable[[Arena, argparse.Namespace, Say], Measured]] = {
    "throughput": _throughput,
    "readers": _readers,
    "costs": _costs,
    "load": _load,
    "viewers": _viewers,
    "makespan": _makespan,
    "fanout": _fan_out,
    "unchanged": _unchanged,
    "modes": _modes,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Throughput of seeder with all recording, over that of a bare psycopg2 loop. "
        "`python -m benchmarks web` measures the API instead.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=tuple(MEASURES),
        default="throughput",
        help="throughput (default), how long a reader waits during a refresh in each mode, what it costs to "
        "know what a run cost, what a night of 10,000 manifests holds in memory and connections, what many "
        "who watch cost, how long a night of chains is, how soon 10,000 runs are queued, how long a night is "
        "in which little has changed, or what auto-swap takes against the better mode",
    )
    parser.add_argument(
        "--rows",
        type=_positive,
        default=readers.ROWS,
        help=f"of the (largest) matview of readers and costs (default: {readers.ROWS})",
    )
    parser.add_argument(
        "--viewers", type=_positive, default=viewers.VIEWERS, help="who watch (default: %(default)s)"
    )
    parser.add_argument("--only", choices=("tiny", "real"), help="one of the two workloads")
    parser.add_argument(
        "--repetitions", type=_positive, help=f"passes per contestant (default: {REPETITIONS})"
    )
    parser.add_argument(
        "--views",
        type=_positive,
        help=f"views per workload (default: {tiny.VIEWS} tiny, all real ones, {load.MANIFESTS} of load)",
    )
    parser.add_argument(
        "--concurrency", type=_positive, default=CONCURRENCY, help="threads and connections (default: 4)"
    )
    parser.add_argument(
        "--scale-factor",
        type=float,
        default=real.SCALE_FACTOR,
        help="of the TPC-H data; 1 is about 1 GB (default: 0.1)",
    )
    parser.add_argument("--json", action="store_true", help="every measurement as JSON; the tables on stderr")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
