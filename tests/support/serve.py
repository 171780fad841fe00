"""Starts the embedded servers in a folder, prints their addresses, and stops them when its input ends.

A process of its own, so that a test can run it as another account or kill it:
``python serve.py HOME [ACCOUNT]``.
"""

import json
import os
import pwd
import sys
from pathlib import Path

from seeder import embedded
from seeder.embedded import postgres, redis
from seeder.errors import UserError


def become(account: str) -> None:
    """Go on as another account, as if it had started us; root only.

    Once everything is imported, so that Python itself may lie below a closed home folder. The keepers, which
    need the standard library only, then run on the system's Python.
    """
    # What is imported only when first used.
    assert postgres.failing("postgresql://127.0.0.1:1/x", Path("/")) is not None
    assert redis.failing("redis://127.0.0.1:1/0", Path("/")) is not None
    user = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    if not os.access(os.path.realpath(sys.executable), os.X_OK):
        sys.executable = "/usr/bin/python3"


def main(home: Path, account: str | None = None) -> int:
    if account is not None:
        become(account)
    try:
        servers = embedded.start(home, postgres_settings={"fsync": "off"})
    except UserError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
        return 2
    facts = [
        {
            "name": server.name,
            "url": server.url,
            "pid": server.pid,
            "keeper": server.keeper,
            "folder": str(server.folder),
            "joined": server.joined,
        }
        for server in servers.all
    ]
    print(json.dumps({"servers": facts}), flush=True)
    sys.stdin.read()
    embedded.stop(servers)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
