"""A temporary PostgreSQL server for tests, on loopback, without a password; it never runs as root."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def programs() -> Path | None:
    """The folder of initdb and pg_ctl: on PATH, or where Debian hides them; None if they are not here."""
    found = [Path(p) for p in map(shutil.which, ("initdb", "pg_ctl")) if p]
    if len(found) == 2:
        return found[0].resolve().parent
    here = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4]))
    return here[-1].parent if here and (here[-1].parent / "initdb").exists() else None


def unprivileged() -> list[str] | None:
    """What to put before a command so that it does not run as root, which the server refuses; None if we cannot."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if shutil.which("setpriv") else None


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a fresh, empty database in SQLAlchemy's words; the server and its files go at the end.

    Skips the test, with the reason, where the server's programs or the driver psycopg are missing.
    """
    pytest.importorskip("psycopg", reason="needs psycopg: pip install -e '.[postgres]'")
    folder, before = programs(), unprivileged()
    if folder is None:
        pytest.skip("needs a PostgreSQL server: initdb and pg_ctl (apt-get install postgresql)")
    if before is None:
        pytest.skip("PostgreSQL refuses to run as root, and setpriv is missing")
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))  # pytest's own folders are closed to other users
    if before:
        shutil.chown(home, 65534, 65534)

    def pg_ctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        # output goes to files: the server would inherit a pipe, and reading it would wait for the server to end
        with (home.parent / f"{home.name}.out").open("w+") as out:
            command = [*before, str(folder / arguments[0]), "-D", str(home / "db"), *arguments[1:]]
            done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd="/", timeout=60)
            out.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read())

    try:
        made = pg_ctl("initdb", "--username=study", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        assert made.returncode == 0, made.stdout
        for _ in range(3):  # somebody may take the port between our look and the server's start
            port = free_port()
            options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
            started = pg_ctl("pg_ctl", "-w", "-o", options, "-l", str(home / "log"), "start")
            if started.returncode == 0:
                break
        assert started.returncode == 0, started.stdout + (home / "log").read_text()
        try:
            yield f"postgresql+psycopg://study@127.0.0.1:{port}/postgres"
        finally:
            pg_ctl("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
        (home.parent / f"{home.name}.out").unlink(missing_ok=True)
