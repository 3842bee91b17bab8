"""Real servers on loopback, for the time of a block."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

# A first start makes the tables of the store, and a machine may be busy.
SECONDS_TO_START = 120


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


@contextmanager
def mlflow_server(
    backend_store_uri: str,
    artifact_folder: Path,
    *,
    n_workers: int = 1,
    port: int | None = None,
) -> Iterator[str]:
    """Start a tracking server, and kill it at the end of the block.

    Parameters
    ----------
    backend_store_uri : str
        The database in which it keeps runs.

    artifact_folder : Path
        Where it keeps models and other files, beside a log of its own.

    n_workers : int, default=1
        How many processes answer.

    port : int or None, default=None
        Where it listens. None takes a free one.

    Yields
    ------
    str
        Its address.
    """
    port = port or free_port()
    # What the environment says is for clients.
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    env |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Seven more processes, for language models.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
        *("--port", str(port), "--workers", str(n_workers)),
        *("--backend-store-uri", backend_store_uri),
        *("--artifacts-destination", str(artifact_folder)),
    ]
    log = artifact_folder / "server.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=artifact_folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not _is_healthy(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not answer:\n{log.read_text()}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_healthy(port: int) -> bool:
    try:
        with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/health")
            return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
