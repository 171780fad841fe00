"""The process from which ``support.forked`` forks others: it imports seeder and its dependencies once.

A fork begins as ``python -m`` would, with arguments, environment, folder and channels of its own, and its
module as ``__main__``. What acts at import is imported by the fork alone.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import socket
import struct
import sys
import time
from pathlib import Path

#: What Celery and uvicorn import when they start.
LATE = (
    "celery.bin.celery", "celery.apps.beat", "celery.apps.worker", "celery.concurrency.prefork",
    "celery.worker.autoscale", "celery.worker.components", "celery.worker.consumer",
    "celery.events.snapshot", "celery.fixups.django", "kombu.transport.redis",
    "uvicorn.lifespan.on", "uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl",
)  # fmt: skip
ACT_AT_IMPORT = {"seeder.celery", "seeder.__main__"}
DESCRIPTORS = 1024
REQUEST_BYTES = 1 << 17
NUMBER = struct.Struct("i")


def import_all() -> None:
    import seeder

    modules = {module.name for module in pkgutil.walk_packages(seeder.__path__, "seeder.")}
    for name in sorted(modules - ACT_AT_IMPORT) + list(LATE):
        importlib.import_module(name)
    # What is there by now is never freed: a fork's collector would else copy all of its pages.
    gc.collect()
    gc.freeze()


def fork_as_asked(control: socket.socket) -> list[str]:
    """Returns in each fork, with its arguments; and without any when nobody can ask any more.

    Through the last channel that comes with it, who asked for a fork is told its id, and later its exit code.
    """
    living: dict[int, tuple[int, int]] = {}
    with control, selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in living:
                    selector.unregister(key.fd)
                    _tell_the_end(key.fd, *living.pop(key.fd))
                    continue
                request, channels, _, _ = socket.recv_fds(control, REQUEST_BYTES, 4)
                if not request:
                    return []
                told = channels.pop()
                if not (pid := os.fork()):
                    selector.close()
                    control.close()
                    return _begin(channels, **json.loads(request))
                for channel in channels:
                    os.close(channel)
                os.write(told, NUMBER.pack(pid))
                selector.register(ended := os.pidfd_open(pid), selectors.EVENT_READ)
                living[ended] = pid, told


def _tell_the_end(ended: int, pid: int, told: int) -> None:
    _, status = os.waitpid(pid, 0)
    os.write(told, NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os.close(told)
    os.close(ended)


def _begin(channels: list[int], arguments: list[str], environment: dict[str, str], folder: str) -> list[str]:
    for standard, channel in enumerate(channels):
        os.dup2(channel, standard)
    os.closerange(3, DESCRIPTORS)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    importlib.invalidate_caches()
    return arguments


if __name__ == "__main__":
    tests = Path(__file__).parents[1]
    sys.path[:1] = [str(tests), str(tests.parent)]
    import_all()
    if arguments := fork_as_asked(socket.socket(fileno=int(sys.argv[1]))):
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
