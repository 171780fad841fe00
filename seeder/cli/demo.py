"""``seeder demo``: loads the demo, refreshes its reports through a worker, and prints the status."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from seeder import demo
from seeder.app import app
from seeder.cli.demo_data import load
from seeder.cli.printing import console, text
from seeder.cli.refresh import announce, watch
from seeder.cli.services import refresh_worker
from seeder.cli.status import show
from seeder.cli.up import embedded_servers, prepare_schema
from seeder.config.settings import current_settings
from seeder.equipment import equipment
from seeder.errors import UserError
from seeder.history import Run
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection
from seeder.supervision.kept import KILL, Kept, Program, Step


class DemoElsewhere(UserError):
    """{name} is set, and the demo runs on embedded servers only, so that nothing of yours is touched. Unset
    it, or load the demo there yourself with `seeder demo load`."""


class WorkerDied(UserError):
    """The demo's worker ended before the runs did. Its log is {log}."""


def run() -> int:
    settings = current_settings()
    for name in ("database_url", "broker_url"):
        if getattr(settings, name) is not None:
            raise DemoElsewhere(name=f"SEEDER_{name.upper()}")
    out = console()
    with embedded_servers(settings, out):
        prepare_schema(settings, out)
        load(out)
        log = settings.home / "demo-worker.log"
        with worker(log) as process:
            seeding = seed(app, equipment(), Selection())
            announce(out, seeding)
            ended = watch(out, equipment().history, seeding, alive=lambda: _require_alive(process, log))
        show(out, equipment().history.jobs())
        problems = surprises(ended)
    equipment().databases.dispose()
    for problem in problems:
        out.print(f"[red]Not as it should be:[/] {text(problem)}")
    if not problems:
        _say_next(out)
    return 1 if problems else 0


def load_only() -> int:
    out = console()
    equipment().databases.verify()
    load(out)
    prepare_schema(current_settings(), out)
    out.print("Next: seeder refresh --wait (with a worker: celery -A seeder worker)")
    return 0


@contextmanager
def worker(log: Path) -> Iterator[Kept]:
    """An ordinary worker whose output goes to a file; stopped at the end of the block, or of this process."""
    program = Program("demo worker", refresh_worker(), steps=(Step(signal.SIGTERM, 30.0), KILL))
    with log.open("wb") as output:
        kept = Kept(program, output.fileno())
        kept.keep_up()
        try:
            yield kept
        finally:
            kept.ask_to_stop()
            kept.wait()


def surprises(ended: Sequence[Run]) -> list[str]:
    """What differs from the demo's expected outcome. Two runs fail on purpose, to show how that looks."""
    expected = {(one.report_type, one.manifest_id): one for one in demo.EXPECTED_FAILURES}
    problems = []
    for one in ended:
        wanted = expected.pop((one.report_type, one.manifest_id), None)
        if wanted is None and one.status == "error":
            problems.append(f"{one.table_name} failed: {one.errors}")
        elif wanted and (one.status != "error" or wanted.errors_hold not in (one.errors or "")):
            problems.append(f"{one.table_name} should have failed because {wanted.why}")
    return problems + [f"{one.table_name} did not run" for one in expected.values()]


def _require_alive(process: Kept, log: Path) -> None:
    if process.ended is not None:
        raise WorkerDied(log=log)


def _say_next(out: Console) -> None:
    names = " and ".join(one.table_name for one in demo.EXPECTED_FAILURES)
    seeder = os.path.relpath(Path(sys.prefix) / "bin" / "seeder")
    out.print(f"\nTwo reports fail on purpose, to show what that looks like: {names}.")
    out.print("Next, to keep everything running:")
    out.print("    make up")
    out.print("and in another terminal:")
    out.print(f"    {seeder} status --agency ua")
    out.print(f"    {seeder} refresh --agency ua --wait")
    out.print(f"    {seeder} history {demo.EXPECTED_FAILURES[0].table_name}")
