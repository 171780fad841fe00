"""A scheduled fan-out that ends its own process at a given point: ``python -m support.fan_out POINT``.

What a point wraps works as before until that moment; then comes SIGKILL, as from outside.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partialmethod
from typing import Any

from kombu.messaging import Producer

from seeder.app import app
from seeder.equipment import equipment
from seeder.history import HistoryRepository
from seeder.seedings import fan_out
from seeder.seedings.planning import Selection

#: Point → what is called then, and the how manieth call is the last: before it begins, or (None) after the
#: first one has ended.
POINTS: dict[str, tuple[Any, str, int | None]] = {
    "nothing is recorded": (HistoryRepository, "queue", 1),
    "half the record is written": (HistoryRepository, "refuse", 1),
    "recorded and not published": (fan_out, "publish", 1),
    "the batch isn't sent": (Producer, "publish", 4),
    "half the batch is sent": (Producer, "publish", 4),
    "all is published": (fan_out, "publish", None),
}


def deadly(function: Callable[..., Any], call: int | None) -> Callable[..., Any]:
    calls = 0

    def wrapped(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **more)
        if call is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


if __name__ == "__main__":
    point = sys.argv[1]
    owner, name, call = POINTS[point]
    setattr(owner, name, deadly(getattr(owner, name), call))
    if point == "half the batch is sent":
        # kombu sends a batch in parts of this size.
        Producer.batch = partialmethod(Producer.batch, 2)  # type: ignore[assignment]
    fan_out.seed(app, equipment(), Selection(), scheduled=True)
