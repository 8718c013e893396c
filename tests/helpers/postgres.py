"""A private PostgreSQL server in a temporary folder, for as long as a block runs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["find_programs", "private_server"]

_SECONDS_TO_START = 60


def find_programs() -> Path | None:
    """The folder of PostgreSQL's programs, where Debian puts them or on the path; None where there are none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).resolve().parent] if found else []
    wanted = "initdb", "postgres"
    return next((folder for folder in folders if all((folder / name).is_file() for name in wanted)), None)


def _owner() -> pwd.struct_passwd | None:
    """Whom the server runs as where this process is root's, for whom it refuses to."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no user 'nobody'")


@contextmanager
def private_server(programs: Path) -> Iterator[str]:
    """Start a server that listens on a socket in its folder only; gives its URI."""
    folder = Path(tempfile.mkdtemp(prefix="fastcf-postgres-"))
    owner = _owner()
    identity = {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    try:
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data, log = folder / "data", folder / "log"
        options = ["--username=tester", "--auth=trust", "--encoding=UTF8", "--no-sync", "--pgdata", str(data)]
        subprocess.run(
            [programs / "initdb", *options],
            check=True, capture_output=True, cwd=folder, env=environment, **identity,
        )  # fmt: skip
        settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(log, "wb") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", str(data), *arguments],
                stdout=output, stderr=output, cwd=folder, env=environment, **identity,
            )  # fmt: skip
        try:
            _wait(server, folder / ".s.PGSQL.5432", log)
            yield f"postgresql://tester@/postgres?host={folder}"
        finally:
            server.terminate()
            server.wait(timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    """Wait until the server says that it takes connections."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        if socket.exists() and b"ready to accept connections" in log.read_bytes():
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
