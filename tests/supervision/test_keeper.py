"""What only shows with the keeper's own clock turned faster."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = """
import json, sys
from seeder.supervision import keeper
keeper.SETTLED_AFTER, keeper.LONGEST_DELAY = json.loads(sys.argv[2])
sys.exit(keeper.Keeper(json.loads(sys.argv[1])).run())
"""


def kept(script: str, *, settled_after: float, longest_delay: float, lines: int) -> list[str]:
    """What a keeper says of a program that ends again and again."""
    plan = {
        "argv": ["/bin/sh", "-c", script],
        "account": {},
        "steps": [(15, 1.0), (9, 0.0)],
        "if_orphaned": 9,
        "first_delay": 0.02,
        "keep_up": True,
    }
    with subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(plan), json.dumps([settled_after, longest_delay])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = [process.stdout.readline().rsplit(" in ")[-1].strip() for _ in range(lines)]
        process.stdin.close()
        process.wait(10)
    return said


def test_the_pauses_grow_up_to_the_longest() -> None:
    said = kept("exit 1", settled_after=60, longest_delay=0.1, lines=5)
    assert said == ["0.02 s", "0.04 s", "0.08 s", "0.1 s", "0.1 s"]


def test_who_lived_long_enough_begins_with_the_shortest_pause_again() -> None:
    said = kept("sleep 0.15; exit 1", settled_after=0.1, longest_delay=30, lines=3)
    assert said == ["0.02 s"] * 3


def test_a_program_that_never_came_up_is_not_restarted() -> None:
    plan = {"argv": ["/bin/sh", "-c", "exit 7"], "account": {}, "steps": [], "if_orphaned": 9}
    script = str(ROOT / "seeder" / "supervision" / "keeper.py")
    with subprocess.Popen(
        [sys.executable, script, "label", json.dumps({**plan, "first_delay": 0.02, "keep_up": False})],
        stdin=subprocess.PIPE,
    ) as process:
        assert process.wait(10) == 7
