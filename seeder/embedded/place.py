"""The folder of the embedded servers, and the account that they run as.

``<home>`` holds the password, the state files and the logs, and the servers' data. PostgreSQL refuses to run
as root, so for root both servers run as an existing account. If that account can't reach ``<home>`` (as below
a ``/root`` of mode 700), their data is in a folder of its own below ``/var/lib/seeder``, named after
``<home>`` and recorded there. No account is created, and no mode of a folder that seeder didn't create is
changed.
"""

import fcntl
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seeder.errors import HomeUnusable
from seeder.supervision.kept import Account

#: Persistent, unlike /tmp and /var/tmp, which systemd-tmpfiles clears of files nobody reads for a while:
#: table files of a database among them.
_OUTSIDE_HOME = Path("/var/lib/seeder")
_KEPT_FILE = "embedded.json"


@dataclass(frozen=True)
class Place:
    """A prepared ``<home>``.

    ``home`` holds the state files and logs, ``folder`` the servers' data (usually the same folder).
    ``account`` is the account that the servers run as; None is that of this process.
    """

    home: Path
    folder: Path
    account: Account | None
    password: str = field(repr=False)

    @property
    def moved(self) -> bool:
        """Whether the data lies outside ``<home>``."""
        return self.folder != self.home

    def remembered(self, key: str) -> Any:
        """A value kept in ``<home>``, such as the port that a server had last; None if there is none."""
        return read_json(self.home / _KEPT_FILE).get(key)

    def remember(self, key: str, value: Any) -> None:
        known = read_json(self.home / _KEPT_FILE)
        if known.get(key) != value:
            write_private(self.home / _KEPT_FILE, json.dumps({**known, key: value}))

    def make_folder(self, path: Path) -> None:
        """A folder of mode 0700 that belongs to the servers' account."""
        path.mkdir(mode=0o700)
        self.give(path)

    def give(self, path: Path) -> None:
        """Hand a file or folder to the servers' account."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    def run(self, argv: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a short program as the servers' account. Raises OSError."""
        as_account: dict[str, Any] = {}
        if self.account is not None:
            as_account = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return subprocess.run(
            argv,
            # initdb wants to know its working directory, which the account may not be able to enter.
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            **as_account,
            **more,
        )

    def runnable(self, program: Path, base: Path, parts: Sequence[str]) -> Path:
        """The program, or a copy of it if the servers' account can't run it where it is.

        ``parts`` are the files and folders below ``base`` that the program needs, itself included. A copy is
        made once per version, beside the data. Raises OSError if the copy can't be run either, or if this
        process itself can't run the program.
        """
        try:
            if self.run([str(program), "--version"]).returncode == 0:
                return program
        except PermissionError:
            if self.account is None:
                raise
        version = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, check=False
        ).stdout
        copy = self.folder / ("program-" + re.sub(r"[^A-Za-z0-9.]+", "-", version).strip("-")[:60])
        if not copy.exists():
            unfinished = Path(tempfile.mkdtemp(prefix="program-", dir=self.folder))
            for part in parts:
                (unfinished / part).parent.mkdir(parents=True, exist_ok=True)
                if (base / part).is_dir():
                    shutil.copytree(base / part, unfinished / part)
                else:
                    shutil.copy2(base / part, unfinished / part)
            unfinished.chmod(0o755)
            unfinished.rename(copy)
        copied = copy / program.relative_to(base)
        if self.run([str(copied), "--version"]).returncode != 0:
            raise PermissionError(f"{program} can't be run, neither can its copy {copied}")
        return copied


def prepare(home: Path) -> Place:
    """Make ``<home>`` ready: its folder, the account, the place of the data, the password.

    To be called with the home locked. Raises HomeUnusable.
    """
    with _as_unusable(home):
        known = read_json(home / _KEPT_FILE)
        folder = Path(known["folder"]) if "folder" in known else home
        account = None
        if os.geteuid() == 0:
            account = _owner_of_data(folder) or _existing_account()
            if folder == home and not _can_enter(home, account):
                folder = _folder_outside(home)
        if not folder.is_dir():
            raise FileNotFoundError(f"its data was in {folder}, which is gone; remove {home} to start afresh")
        known = {"password": secrets.token_urlsafe(24), **known}
        if folder != home:
            known["folder"] = str(folder)
        place = Place(home, folder, account, known["password"])
        if read_json(home / _KEPT_FILE) != known:
            write_private(home / _KEPT_FILE, json.dumps(known))
        return place


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold ``<home>`` for one start or stop at a time; makes the folder. Raises HomeUnusable."""
    with _as_unusable(home):
        if not home.is_dir():
            # Root's servers run as another account, which must be able to pass through to its own folder;
            # every file that matters in here is 0600.
            home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True)
        handle = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a state file; empty if there is no file, or one that a crash has cut short."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 atomically."""
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)


@contextmanager
def _as_unusable(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HomeUnusable(home=home, reason=error.strerror or error) from error


def _owner_of_data(folder: Path) -> Account | None:
    """The owner of existing data, so that root and that account can use one home in turn."""
    for data in (folder / "postgres", *folder.glob("redis-*"), *folder.glob("valkey-*")):
        if data.is_dir() and (status := data.stat()).st_uid != 0:
            return Account(status.st_uid, status.st_gid)
    return None


def _existing_account() -> Account:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise PermissionError("PostgreSQL refuses to run as root, and there is no account postgres or nobody")


def _can_enter(folder: Path, account: Account) -> bool:
    # Tried, not read from the modes: access lists and mounts matter too.
    entered = Place(folder, folder, account, "").run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)])
    return entered.returncode == 0


def _folder_outside(home: Path) -> Path:
    _OUTSIDE_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    readable = re.sub(r"[^A-Za-z0-9]+", "-", str(home)).strip("-")[-60:]
    folder = Path(tempfile.mkdtemp(prefix=f"{readable}-", dir=_OUTSIDE_HOME))
    folder.chmod(0o711)
    return folder
