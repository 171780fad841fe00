"""``python -m benchmarks [readers|costs|load|viewers]``: measure, and print what came out.

Writes nothing but its temporary folder.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from benchmarks import costs, load, readers, real, tiny, viewers, web
from benchmarks.arena import Arena, BenchmarkFailed, arena
from benchmarks.measuring import DEFAULT_POOL, Result, Say, count, measure
from benchmarks.printing import machine, show
from seeder.errors import UserError

REPETITIONS = {"tiny": 7, "real": 5}
CONCURRENCY = 4
#: Of the tables; a pipe would otherwise cut them to 80 columns.
WIDTH = 110
OTHER_POOLS = ("prefork",)


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured; 1: something failed. A missed goal is a result, not a failure."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["web"]:
        return web.main(given[1:])
    asked = _parser().parse_args(given)
    out = Console(stderr=asked.json, width=WIDTH)
    try:
        with arena() as place:
            facts = machine(place)
            if asked.what == "readers":
                return _readers(place, asked, out, facts)
            if asked.what == "costs":
                return _costs(place, asked, out, facts)
            if asked.what == "load":
                return _load(place, asked, out, facts)
            if asked.what == "viewers":
                return _viewers(place, asked, out, facts)
            results = _measured(place, asked, lambda words: out.print(words, highlight=False))
    except (BenchmarkFailed, UserError) as failure:
        sys.stderr.write(f"benchmarks: {failure}\n")
        return 1
    show(out, facts, results)
    if asked.json:
        print(json.dumps({"machine": facts, "workloads": [_as_json(result) for result in results]}, indent=2))
    return 0


def _measured(place: Arena, asked: argparse.Namespace, say: Say) -> list[Result]:
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
    return results


def _readers(place: Arena, asked: argparse.Namespace, out: Console, facts: dict[str, object]) -> int:
    repetitions = asked.repetitions or readers.REPETITIONS
    results = readers.measure(place, asked.rows, repetitions, lambda words: out.print(words, highlight=False))
    show(out, facts, [])
    readers.show(out, asked.rows, results)
    if asked.json:
        print(json.dumps({"machine": facts, "readers": [asdict(result) for result in results]}, indent=2))
    return 0


def _costs(place: Arena, asked: argparse.Namespace, out: Console, facts: dict[str, object]) -> int:
    repetitions = asked.repetitions or costs.REPETITIONS
    prices, report = costs.measure(
        place, asked.rows, repetitions, lambda words: out.print(words, highlight=False)
    )
    show(out, facts, [])
    costs.show(out, prices, report)
    if asked.json:
        measured = {"costs": [asdict(price) for price in prices], "report_ms": report}
        print(json.dumps({"machine": facts, **measured}, indent=2))
    return 0


def _load(place: Arena, asked: argparse.Namespace, out: Console, facts: dict[str, object]) -> int:
    nights = load.measure(
        place,
        asked.views or load.MANIFESTS,
        asked.concurrency,
        lambda words: out.print(words, highlight=False),
    )
    show(out, facts, [])
    load.show(out, asked.concurrency, nights)
    if asked.json:
        print(json.dumps({"machine": facts, "load": [asdict(night) for night in nights]}, indent=2))
    return 0


def _viewers(place: Arena, asked: argparse.Namespace, out: Console, facts: dict[str, object]) -> int:
    watched = viewers.measure(
        place,
        asked.views or tiny.VIEWS,
        asked.viewers,
        asked.repetitions or viewers.REPETITIONS,
        asked.concurrency,
        lambda words: out.print(words, highlight=False),
    )
    show(out, facts, [])
    viewers.show(out, asked.viewers, watched)
    if asked.json:
        print(
            json.dumps({"machine": facts, "viewers": {**asdict(watched), "ratios": watched.ratios}}, indent=2)
        )
    return 0


def _as_json(result: Result) -> dict[str, Any]:
    """All legs as measured, and the ratios made of them."""
    return {**asdict(result), "ratios": {pool: result.ratios(pool) for pool in result.pools}}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Throughput of seeder with all recording, over that of a bare psycopg2 loop. "
        "`python -m benchmarks web` measures the API instead.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=("throughput", "readers", "costs", "load", "viewers"),
        default="throughput",
        help="throughput (default), how long a reader waits during a refresh in each mode, what it costs to "
        "know what a run cost, what a night of 10,000 manifests holds in memory and connections, or what "
        "many who watch cost",
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
