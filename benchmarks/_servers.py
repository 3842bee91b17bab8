"""Real servers on loopback, for the time of a block."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


def free_port() -> int:
    """Find a port of loopback that nobody listens to."""
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
    return port


def find_postgresql() -> Path | None:
    """Find the folder of PostgreSQL's programs, which Debian keeps out of the way."""
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin")]
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    return next((path for path in candidates if (path / "pg_ctl").exists()), None)


@contextmanager
def postgresql(password: str) -> Iterator[str]:
    """Start a database server with one empty database.

    Parameters
    ----------
    password : str
        What the user ``me`` needs.

    Yields
    ------
    str
        The address of the database; other databases can be created beside it.
    """
    programs = find_postgresql()
    if programs is None:
        raise FileNotFoundError("PostgreSQL's pg_ctl is missing: install postgresql")
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    folder = Path(tempfile.mkdtemp(prefix="skperceptron-postgresql-"))
    secret = folder / "password"
    secret.write_text(password)
    for path in (folder, secret):
        shutil.chown(path, user)
    port = free_port()

    def run(program: str, *arguments: str | Path) -> None:
        command = [programs / program, "-D", folder / "data", *arguments]
        options = {"user": user} if os.geteuid() == 0 else {}
        subprocess.run(
            command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **options
        )

    run("initdb", "-U", "me", "-A", "scram-sha-256", "--pwfile", secret)
    server = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    run("pg_ctl", "-w", "-l", folder / "log", "-o", server, "start")
    try:
        yield f"postgresql://me:{password}@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)
