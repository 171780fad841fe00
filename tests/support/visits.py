"""What tests of the app share: address, token, timeouts."""

import time
from collections.abc import Callable
from typing import Any

TOKEN = "a-token-for-the-tests"
HERE = "http://localhost:8080"


def wait_until(what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``look`` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.02)
    return seen
