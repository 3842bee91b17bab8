"""A journal that others have written runs no code, and writes nothing outside of it.

Every case plants something in a journal; then another process delivers what waits
there. Around the journal and the store lies a tree of files that must stay as it is.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pickle
import random
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import uuid
import warnings
import zipfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking.delivery._model_building import NoModelError, built_model
from skperceptron.tracking.journal._journal import Journal
from skperceptron.tracking.journal._record import (
    ADDRESS,
    Dataset,
    Metric,
    ParentRun,
    RunHead,
    RunRecord,
)
from skperceptron.tracking.journal._rows import NONSENSE
from skperceptron.tracking.journal._signature import _own_secret, is_signed, sign
from skperceptron.tracking.recording._model import keep_model

DEAD = "vm-4242-deadbeef"
SECRET = "nobody must read this"
X, y = load_iris(return_X_y=True)


class Payload:
    """Runs code where it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


# Nobody but a planted file would make it.
SYSTEM_FOLDER = Path("/etc/mlflow")


class Sandbox:
    """A journal and a store, and around them what must not change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outside = folder / "outside"
        self.canary = self.outside / "canary"
        self.store = folder / "store"
        self.journal = folder / "journal"
        for path in (self.outside / "folder", self.store):
            path.mkdir(parents=True)
        (folder / "home").mkdir()
        (self.outside / "secret.txt").write_text(SECRET)
        (self.outside / "folder" / "precious").write_text("precious")
        with closing(sqlite3.connect(self.outside / "other.db")) as db:
            db.execute("CREATE TABLE precious (x)")
        self.uri = f"sqlite:///{self.store / 'mlflow.db'}"
        # One for all plants; closed before somebody else delivers, or spoils its file.
        self._opened = Journal(self.journal)

    def plant(self, *parents: ParentRun, **columns: Any) -> str:
        """Write a run to the journal, and change its row; give back its key."""
        address = {
            "tracking_uri": self.uri,
            "working_directory": str(self.store),
            "experiment_name": "planted",
        }
        address |= {k: columns.pop(k) for k in list(columns) if k in ADDRESS}
        address = dict.fromkeys(ADDRESS) | address
        is_signed = columns.pop("is_signed", False)
        body, files = columns.pop("body", None), columns.pop("files", [])
        key = columns.pop("its_key", None) or uuid.uuid4().hex
        record = RunRecord("planted", 1_700_000_000_000, files=files)
        record.end_time = record.start_time + 500
        signed = address if is_signed else dict.fromkeys(ADDRESS)
        head = RunHead(key, signed, parents, deliverer=DEAD, origin=DEAD)
        self._opened.write(head, record, owner=DEAD)
        store = str(address["tracking_uri"] or "").encode("utf-8", "replace").decode()
        for written in (key, *(above.key for above in parents)):
            values = json.dumps(address), store, written
            self.execute("UPDATE run SET address = ?, store = ? WHERE key = ?", *values)
        for column, value in columns.items():
            self.execute(f"UPDATE run SET {column} = ? WHERE key = ?", value, key)
        if body is not None:
            self.execute("UPDATE event SET body = ? WHERE key = ?", body, key)
        return key

    def plant_event(self, **changes: Any) -> str:
        """Write a run with an event that no fit has written."""
        event = RunRecord("planted", 1_700_000_000_000).as_event()
        event |= {"end_time": 1_700_000_000_500, **changes}
        return self.plant(body=json.dumps(event))

    def execute(self, statement: str, *values: Any) -> None:
        self._opened.database.run(
            "BEGIN IMMEDIATE", lambda db: db.execute(statement, values)
        )

    def close(self) -> None:
        self._opened.database.close()

    def plant_files(self) -> Path:
        """Write a run that has artifacts."""
        key = uuid.uuid4().hex
        name = f"{key}-01234567"
        self.plant(its_key=key, files=[name])
        folder = self.journal / "files" / name
        folder.mkdir(parents=True)
        return folder

    def plant_model(self) -> Path:
        """Write a file of the journal that has a good model, to be spoiled."""
        folder = self.plant_files() / "model"
        shutil.copytree(self.model(), folder)
        return folder

    def model(self) -> Path:
        folder = self.folder / "a good model"
        if not folder.exists():
            with skperceptron.config_context(tracking=False):
                clf = skperceptron.HillClimbPerceptron(max_iter=5).fit(X, y)
            keep_model(clf, X, folder)
        return folder

    def deliver(self, has_genuine: bool = True, **environment: str) -> str:
        """Let another process deliver all, and check what must hold whatever waits."""
        if has_genuine:
            self.plant(name="genuine")
        self.model()
        (told,) = deliver_each(self.folder, [self], **environment)
        assert not has_genuine or "genuine" in self.names(), told
        return told

    def names(self) -> list[str]:
        """Of the runs in the store, if there is one."""
        if not (self.store / "mlflow.db").exists():
            return []
        with closing(sqlite3.connect(self.store / "mlflow.db")) as db:
            return [name for (name,) in db.execute("SELECT name FROM runs")]

    def artifacts(self) -> list[str]:
        return [p.name for p in (self.store / "mlruns").rglob("*") if p.is_file()]


DELIVER = """
import json, os, sys, warnings
from skperceptron.tracking import flush

told = []
for store, journal in json.loads(sys.argv[1]):
    os.chdir(store)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}/mlflow.db"
    os.environ["SKPERCEPTRON_JOURNAL"] = journal
    with warnings.catch_warnings(record=True, action="always") as caught:
        flush(120)
    told.append("; ".join(str(warning.message) for warning in caught))
json.dump(told, sys.stdout)
"""


def deliver_each(folder: Path, sandboxes: list[Sandbox], **more: str) -> list[str]:
    """Let one other process deliver from several journals, and tell what it says.

    Whatever waits there, nothing else in a folder around all of them may change.
    """
    own = [path for s in sandboxes for path in (s.store, s.journal)]
    for sandbox in sandboxes:
        sandbox.close()
    before, was_there = snapshot(folder, *own), SYSTEM_FOLDER.exists()
    home = {"HOME": str(folder / "home"), "XDG_STATE_HOME": str(folder / "home")}
    places = json.dumps([(str(s.store), str(s.journal)) for s in sandboxes])
    done = subprocess.run(
        [sys.executable, "-c", DELIVER, places],
        env={**os.environ, **home, **more},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert snapshot(folder, *own) == before
    assert SYSTEM_FOLDER.exists() == was_there
    for path in itertools.chain(*(s.store.rglob("*") for s in sandboxes)):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
        assert path.suffix != ".pkl"
    told: list[str] = json.loads(done.stdout)
    return told


def snapshot(folder: Path, *without: Path) -> dict[str, Any]:
    """Describe all files of a tree but those in some folders."""
    found = {}
    for where, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if Path(where, f) not in without]
        for name in (*folders, *files):
            path = Path(where, name)
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            digest = hashlib.sha256(content).hexdigest()
            found[str(path)] = (status.st_mode, status.st_size, digest)
    return found


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.close()


class Attacker(BaseHTTPRequestHandler):
    """Somebody's server, which notes what it is asked."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(404)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def attacker():
    with ThreadingHTTPServer(("127.0.0.1", 0), Attacker) as server:
        server.asked = []
        server.uri = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


# What is planted: data for the tests below


def parent(key: str, **changes: Any) -> ParentRun:
    return ParentRun(**{"key": key, "name": "above", "start_time": 1, **changes})


UP = "../../../outside/folder/precious"
ODD_TEXTS = {
    "a way up": UP,
    "a whole path": "/etc/passwd",
    "nothing": "",
    "a zero byte": "a\0b",
    "half a character": "\ud800",
    "commands": "'; DROP TABLE runs; -- $(touch canary) {{7*7}} %s %n",
    "a hundred thousand characters": "x" * 10**5,
}
STORES: dict[str, Callable[[Sandbox], str]] = {
    "a new database": lambda s: f"sqlite:///{s.outside / 'new.db'}",
    "a new database in a new folder": lambda s: f"sqlite:///{s.outside / 'a/b/new.db'}",
    "the database of something else": lambda s: f"sqlite:///{s.outside / 'other.db'}",
    "a database in the journal": lambda s: f"sqlite:///{s.journal / 'x.db'}",
    "a database by a link": lambda s: f"sqlite:////proc/self/cwd/{UP}",
    "a database with options": lambda s: f"sqlite:///file:{s.outside}/n.db?uri=true",
    "a database as a file": lambda s: f"{s.uri}/../../outside/new.db",
    "a new folder": lambda s: (s.outside / "new").as_uri(),
    "a folder": lambda s: s.outside.as_uri(),
    "a folder without a scheme": lambda s: str(s.outside / "folder"),
    "a folder of the system": lambda s: SYSTEM_FOLDER.as_uri(),
    "a server that nobody named": lambda s: "http://127.0.0.1:9/",
    "a server with a bad address": lambda s: "http://[",
    "a server with a bad port": lambda s: "http://127.0.0.1:99999999",
    "a server of a database": lambda s: "postgresql://127.0.0.1:9/x",
    "a plugin": lambda s: "evil-plugin://x",
    "databricks": lambda s: "databricks://profile",
    "nothing": lambda s: "",
    "a zero byte": lambda s: "sqlite:////a\0b",
    "half a character": lambda s: "sqlite:////\ud800",
    "the store with other credentials": lambda s: s.uri + "?password=x",
}


def plant_loop(s: Sandbox) -> None:
    one, two = s.plant(), s.plant()
    s.execute("UPDATE run SET parent = ? WHERE key = ?", one, two)
    s.execute("UPDATE run SET parent = ? WHERE key = ?", two, one)


def plant_ladder(s: Sandbox) -> None:
    keys = [s.plant() for _ in range(300)]
    for above, below in itertools.pairwise(keys):
        s.execute("UPDATE run SET parent = ? WHERE key = ?", above, below)


def plant_link_among_files(s: Sandbox, link: Callable[[Path, Path], None]) -> None:
    link(s.outside / "secret.txt", s.plant_files() / "stolen.txt")


def symlink(target: Path, path: Path) -> None:
    path.symlink_to(target)


def hard_link(target: Path, path: Path) -> None:
    path.hardlink_to(target)


def plant_linked_signs(s: Sandbox) -> None:
    s.plant()
    shutil.rmtree(s.journal / "processes", ignore_errors=True)
    (s.journal / "processes").symlink_to(s.outside / "folder")


def plant_link_to_files(s: Sandbox) -> None:
    folder = s.plant_files()
    folder.rmdir()
    folder.symlink_to(s.outside)


def plant_file_for_files(s: Sandbox) -> None:
    folder = s.plant_files()
    folder.rmdir()
    folder.write_text("x")


def plant_socket(s: Sandbox) -> None:
    # The names of sockets must be short.
    here = os.getcwd()
    os.chdir(s.plant_files())
    try:
        with closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind("socket")
    finally:
        os.chdir(here)


def plant_odd_names(s: Sandbox) -> None:
    folder = s.plant_files()
    for name in (b"%2e%2e%2fx", b"a\nb", b"-rf", b"..a", b"\xff\xfe", b"x" * 255):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("fine")


def plant_deep_folders(s: Sandbox) -> None:
    (s.plant_files() / "/".join("d" * 100)).mkdir(parents=True)


def describe_model(s: Sandbox, **changes: Any) -> None:
    """Let a good model say something else of itself."""
    file = s.plant_model() / "description.json"
    description = json.loads(file.read_text())
    assert set(changes) <= set(description)
    file.write_text(json.dumps(description | changes))


def plant_pickle(s: Sandbox) -> None:
    (s.plant_model() / "model.skops").write_bytes(pickle.dumps(Payload(s.canary)))


def plant_model_of_mlflow(s: Sandbox) -> None:
    folder = s.plant_files() / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            HillClimbPerceptron(),
            str(folder),
            serialization_format="pickle",
            pip_requirements=["scikit-learn"],  # MLflow need not find them out
        )
    (folder / "model.pkl").write_bytes(pickle.dumps(Payload(s.canary)))


def plant_code(s: Sandbox) -> None:
    folder = s.plant_model()
    for code in (folder / "code", folder / "mlflow" / "code"):
        code.mkdir(parents=True)
        (code / "sklearn.py").write_text(f"import os\nos.mkdir({str(s.canary)!r})")
    (folder / "MLmodel").write_text("flavors:\n  sklearn:\n    code: code\n")


def plant_pipe_in_model(s: Sandbox) -> None:
    file = s.plant_model() / "description.json"
    file.unlink()
    os.mkfifo(file)


VERSIONS = {"numpy": "2.0", "scikit-learn": "1.9", "skops": "0.16"}
# What no fit says of its model, by what a description says.
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "needs another package": {"versions": {**VERSIONS, "evil": "1.0"}},
    "lacks a package": {"versions": {"numpy": "2.0"}},
    "needs a package of a server": {
        "versions": {**VERSIONS, "skops": "1 @ http://127.0.0.1:9/evil.zip"}
    },
    "needs options of pip": {"versions": {**VERSIONS, "skops": "1\n--pre"}},
    "needs no version": {"versions": {**VERSIONS, "skops": None}},
    "needs a Python of commands": {"python": "3.11 && touch canary"},
    "trusts a number": {"trusted_types": 5},
    "takes an unknown form": {"inputs": {"pickle": "gASVAAAAAA=="}},
    "takes two forms at once": {"inputs": {"bytes": "", "date": "2020-01-01"}},
    "takes an array that is not there": {"inputs": {"array": ["<f8", [10**12], []]}},
    "takes an array of no dtype": {"inputs": {"array": ["os.system", [0], []]}},
    "takes a column of no dtype": {"inputs": {"DataFrame": [["x"], [["evil", []]]]}},
    "gives what is no text": {"outputs": {"bytes": "no hexadecimal digits"}},
    "has an example that is nothing": {"example": {"other": None}},
}


CASES: dict[str, Callable[[Sandbox], Any]] = {
    **{
        f"its store is {what}": lambda s, make=make: s.plant(tracking_uri=make(s))
        for what, make in STORES.items()
    },
    "its store is the default one of a folder": lambda s: s.plant(
        tracking_uri=None, working_directory=str(s.outside)
    ),
    **{
        f"its {field} is {what}": lambda s, f=field, t=text: s.plant(
            **{f: t.replace("\ud800", "?")}
        )
        for field in (
            "name",
            "owner",
            "deliverer",
            "origin",
            "claimed_by",
            "key",
            "parent",
            "run_id",
            "status",
            "status_if_killed",
            "store",
            "address",
            "error",
        )
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"the {field} of its address is {what}": lambda s, f=field, t=text: s.plant(
            **{f: t}
        )
        for field in (
            "working_directory",
            "experiment_id",
            "experiment_name",
            "parent_run_id",
            "environment_run_id",
        )
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"the names of its {kind} are {what}": lambda s, k=kind, t=text: s.plant_event(
            **{k: [[t, 0.5, 0, 1]] if k == "metrics" else {t: t}}
        )
        for kind in ("params", "tags", "metrics")
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"its model is registered as {what}": lambda s, t=text: s.plant_event(
            registered_model_name=t
        )
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"its files are {what}": lambda s, t=text: s.plant_event(files=[t])
        for what, text in ODD_TEXTS.items()
    },
    "its files are those of another run": lambda s: s.plant_event(
        files=[s.plant_files().name]
    ),
    "its name is no text": lambda s: s.plant(name=b"\xff\xfe"),
    "its address is no text": lambda s: s.plant(address=b"\xff\xfe"),
    "it is below itself": lambda s: s.plant(its_key="a" * 32, parent="a" * 32),
    "two are below each other": plant_loop,
    "hundreds are below each other": plant_ladder,
    "its numbers are huge": lambda s: s.plant(
        body='{"params": {}, "tags": {}, "metrics": [["a", 1' + "0" * 5000 + ", 0, 1]]}"
    ),
    "its dataset is huge": lambda s: s.plant_event(
        dataset={"digest": "x", "n_samples": 10**4000, "n_features": 10**4000}
    ),
    "its metrics are no numbers": lambda s: s.plant_event(
        metrics=[["a", v, 0, 1] for v in (float("nan"), float("inf"), -1e400)]
    ),
    "its times are far away": lambda s: s.plant(
        start_time=253 * 10**12, end_time=253 * 10**12
    ),
    "its times are too far away": lambda s: s.plant(start_time=2**62),
    "what it says is empty": lambda s: s.plant(body=""),
    "what it says is no text": lambda s: s.plant(body=bytes(range(256))),
    "what it says is a pickle": lambda s: s.plant(body=pickle.dumps(Payload(s.canary))),
    "what it says is a list": lambda s: s.plant(body="[]"),
    "what it says is nested deeply": lambda s: s.plant(body="[" * 10**6),
    "what it says has 20 MB": lambda s: s.plant_event(params={"a": "x" * 20_000_000}),
    "its files are a link": plant_link_to_files,
    "its files are a file": plant_file_for_files,
    "among its files is a link": lambda s: plant_link_among_files(s, symlink),
    "among its files is a second name": lambda s: plant_link_among_files(s, hard_link),
    "among its files is a link to a folder": lambda s: symlink(
        s.outside, s.plant_files() / "folder"
    ),
    "among its files is a device by a link": lambda s: symlink(
        Path("/dev/zero"), s.plant_files() / "zeros"
    ),
    "among its files is a pipe": lambda s: os.mkfifo(s.plant_files() / "pipe"),
    "among its files is a socket": plant_socket,
    "its files have odd names": plant_odd_names,
    "its files are deep down": plant_deep_folders,
    "its model is a link": lambda s: symlink(s.outside, s.plant_files() / "model"),
    "its model is a file": lambda s: (s.plant_files() / "model").write_text("x"),
    "its model is empty": lambda s: (s.plant_files() / "model").mkdir(),
    "its model is a pickle": plant_pickle,
    "its model brings code": plant_code,
    "its model is one of MLflow's": plant_model_of_mlflow,
    "its model trusts foreign types": lambda s: describe_model(
        s, trusted_types=["os.system", "builtins.eval"]
    ),
    "its model is described by nothing": lambda s: (
        s.plant_model() / "description.json"
    ).write_text("no JSON"),
    "its model is nested deeply": lambda s: (
        s.plant_model() / "description.json"
    ).write_text("[" * 10**6),
    **{
        f"its model {what}": lambda s, c=changes: describe_model(s, **c)
        for what, changes in DESCRIPTIONS.items()
    },
    "its model describes itself through a pipe": plant_pipe_in_model,
    "its model has a huge description": lambda s: (
        s.plant_model() / "description.json"
    ).write_bytes(b"[" + b"0, " * 6_000_000 + b"0]"),
    "its model is built elsewhere": lambda s: symlink(
        s.outside / "folder", s.plant_model() / "mlflow"
    ),
}


def test_nothing_that_is_planted_changes_anything_outside(sandbox, attacker):
    for plant in CASES.values():
        plant(sandbox)
    sandbox.plant(tracking_uri=attacker.uri)
    errors = sandbox.deliver(MLFLOW_TRACKING_TOKEN=SECRET)
    assert attacker.asked == []
    assert not {"stolen.txt", "zeros", "precious"} & set(sandbox.artifacts())
    assert "a journal alone is not believed" in errors


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_plant_alone_changes_anything_outside(case, sandbox):
    CASES[case](sandbox)
    sandbox.deliver()


@pytest.mark.slow
def test_server_that_only_the_journal_names_is_not_even_asked(sandbox, attacker):
    sandbox.plant(tracking_uri=attacker.uri)
    errors = sandbox.deliver(MLFLOW_TRACKING_TOKEN=SECRET)
    assert attacker.asked == []
    assert f"set the environment variable MLFLOW_TRACKING_URI to {attacker.uri}" in (
        errors
    )


@pytest.mark.slow
def test_server_that_a_fit_has_named_is_asked(sandbox, attacker):
    sandbox.plant(tracking_uri=attacker.uri, is_signed=True)
    assert "not believed" not in sandbox.deliver()
    assert attacker.asked


@pytest.mark.parametrize("signature", ["", "x", "\ud800", None, b"\xff", 5])
def test_nobody_else_can_sign(signature, sandbox):
    assert is_signed("somewhere", sign("somewhere"))
    assert not is_signed("elsewhere", sign("somewhere"))
    assert not is_signed("somewhere", signature)


def test_secret_is_for_its_owner_only_and_not_in_the_journal(sandbox):
    sandbox.plant()
    (secret,) = sandbox.folder.rglob("secrets/*")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert not secret.is_relative_to(sandbox.journal)


def test_secrets_of_processes_that_began_at_once_all_count(sandbox):
    signature = sign("somewhere")
    _own_secret.cache_clear()
    (secret,) = sandbox.folder.rglob("secrets/*")
    hidden = secret.rename(sandbox.folder / "hidden")
    assert not is_signed("somewhere", signature)
    sign("somewhere")
    hidden.rename(secret)
    assert is_signed("somewhere", signature)


# Files that are no journals


def use(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


FILES: dict[str, Callable[[Sandbox, Path], Any]] = {
    "has a trigger": lambda s, path: use(
        path, "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM run; END"
    ),
    "has a view": lambda s, path: use(path, "CREATE VIEW v AS SELECT * FROM run"),
    "has a view for a table": lambda s, path: use(
        path,
        "DROP TABLE event",
        "CREATE VIEW event AS SELECT 1 id, key, '' body FROM run",
    ),
    "has a virtual table": lambda s, path: use(
        path, "CREATE VIRTUAL TABLE f USING fts5(x)"
    ),
    "has another table": lambda s, path: use(path, "CREATE TABLE x (y)"),
    "lacks a table": lambda s, path: use(path, "DROP TABLE event"),
    "lacks an index": lambda s, path: use(path, "DROP INDEX due_runs"),
    "is the database of something else": lambda s, path: shutil.copy(
        s.outside / "other.db", path
    ),
    "is of zero bytes": lambda s, path: path.write_bytes(bytes(10**5)),
    "is no database": lambda s, path: path.write_bytes(bytes(range(256)) * 100),
    "is a pickle": lambda s, path: path.write_bytes(pickle.dumps(Payload(s.canary))),
}


@pytest.fixture
def sandboxes(tmp_path):
    """Make one for each name, and deliver from all of them in one process."""
    (tmp_path / "home").mkdir()

    def deliver(plants: dict[str, Callable[[Sandbox], Any]]) -> dict[str, str]:
        made = {what: Sandbox(tmp_path / what) for what in plants}
        for what, plant in plants.items():
            plant(made[what])
        told = deliver_each(tmp_path, list(made.values()))
        return dict(zip(made, told, strict=True))

    return deliver


def test_files_that_are_no_journals_are_put_aside(sandboxes, tmp_path):
    def spoil(sandbox: Sandbox, what: str) -> None:
        sandbox.plant()
        sandbox.close()
        FILES[what](sandbox, sandbox.journal / "journal.db")

    told = sandboxes({what: partial(spoil, what=what) for what in FILES})
    for what in FILES:
        assert "put aside" in told[what], what
        aside = (tmp_path / what / "journal").glob("journal.db.corrupt-*")
        assert len(list(aside)) == 1, what


LINKS: dict[str, Callable[[Sandbox, Path], Any]] = {
    "a link": lambda s, path: path.symlink_to(s.outside / "other.db"),
    "a link to nothing": lambda s, path: path.symlink_to(s.outside / "new.db"),
    "a pipe": lambda s, path: os.mkfifo(path),
    "a folder": lambda s, path: path.mkdir(),
}


def test_journals_that_are_something_else_are_not_opened(sandboxes):
    def put(sandbox: Sandbox, what: str) -> None:
        sandbox.journal.mkdir(mode=0o700)
        LINKS[what](sandbox, sandbox.journal / "journal.db")

    told = sandboxes({what: partial(put, what=what) for what in LINKS})
    for what in LINKS:
        assert "cannot be used" in told[what], what


def test_journal_whose_signs_are_elsewhere_is_not_delivered(sandbox):
    plant_linked_signs(sandbox)
    assert "is a link" in sandbox.deliver(has_genuine=False)
    assert sandbox.names() == []


# Damage


def whole_event() -> bytes:
    """An event as a fit writes it."""
    record = RunRecord("a fit", 1_700_000_000_000, {"max_iter": "3"}, {"a": "b"})
    record.metrics = [Metric("loss", 0.5 / i, i, 1_700_000_000_000) for i in (1, 2, 3)]
    record.dataset = Dataset("abcd1234", 150, 4)
    record.files = [f"{'a' * 32}-01234567"]
    record.end_time = record.start_time + 1
    return json.dumps(record.as_event()).encode()


WHOLE = whole_event()


@st.composite
def damaged_events(draw: Any) -> bytes:
    """An event in which bytes were changed, lost, doubled or put in."""
    content = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 6))):
        where = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 40))
        content[where : where + length] = draw(
            st.one_of(
                st.binary(max_size=40),
                st.just(b""),
                st.just(bytes(content[where : where + length]) * 2),
                st.sampled_from([b"null", b"-1", b"1e999", b"NaN", b"[]", b"{}", b'"']),
            )
        )
    return bytes(content)


def read(content: bytes) -> None:
    record = RunRecord("a fit", 1_700_000_000_000)
    before = record.as_event()
    try:
        record.take(json.loads(content))
    except NONSENSE:
        assert record.as_event() == before
        return
    assert all(isinstance(m.value, float) for m in record.metrics)
    assert all(abs(m.step) < 2**63 for m in record.metrics)
    assert not any(".." in name for name in record.files)


def of_damaged_events(n_examples: int) -> Callable[..., Any]:
    def decorate(test: Callable[..., Any]) -> Any:
        return settings(
            max_examples=n_examples, derandomize=True, database=None, deadline=None
        )(given(content=damaged_events())(test))

    return decorate


@of_damaged_events(200)
def test_damaged_event_is_read_or_refused(content):
    read(content)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@of_damaged_events(20_000)
def test_event_with_any_damage_is_read_or_refused(content):
    read(content)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(20))
def test_delivery_from_a_damaged_file_changes_nothing_outside(seed, sandbox):
    for _ in range(50):
        sandbox.plant()
    sandbox.close()

    dice, path = random.Random(seed), sandbox.journal / "journal.db"
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice([1, 10, 1000])):
        content[dice.randrange(len(content))] = dice.randrange(256)
    path.write_bytes(content)
    sandbox.deliver(has_genuine=False)


# Models


def tamper(model: Path, change: Callable[[str], str]) -> None:
    """Change what a model file says of its parts."""
    file = model / "model.skops"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    before = parts["schema.json"].decode()
    after = change(before)
    assert after != before
    parts["schema.json"] = after.encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"HillClimbPerceptron"', '"Popen"').replace(
            '"skperceptron.classifiers._hill_climb_perceptron"', '"subprocess"'
        ),
        lambda text: text.replace('"dict"', '"system"').replace('"builtins"', '"os"'),
    ],
)
def test_model_file_with_foreign_types_is_refused(change, sandbox):
    model = sandbox.plant_model()
    tamper(model, change)
    with (
        built_model(model) as built,
        pytest.raises(Exception, match=r"ntrusted|not trusted") as caught,
    ):
        mlflow.sklearn.load_model(str(built))
    assert not isinstance(caught.value, ImportError)


NOT_KEPT = [
    "its model is a link",
    "its model is a file",
    "its model is empty",
    "its model is a pickle",
    "its model is one of MLflow's",
    "its model is described by nothing",
    "its model is nested deeply",
    "its model describes itself through a pipe",
    "its model has a huge description",
    "its model is built elsewhere",
    *(f"its model {what}" for what in DESCRIPTIONS),
]


@pytest.mark.parametrize("plant", NOT_KEPT)
def test_model_that_no_fit_has_kept_is_not_built(plant, sandbox):
    CASES[plant](sandbox)
    (model,) = sandbox.journal.glob("files/*/model")
    before = snapshot(sandbox.folder)
    refused = pytest.raises(NoModelError, match=r"^(is not|has no|has a|cannot be)")
    with refused, built_model(model):
        pass
    assert snapshot(sandbox.folder) == before


def test_model_brings_nothing_but_what_is_built(sandbox):
    plant_code(sandbox)
    (model,) = sandbox.journal.glob("files/*/model")
    with built_model(model) as built:
        assert {path.name for path in built.iterdir()} == {
            "MLmodel",
            "conda.yaml",
            "input_example.json",
            "model.skops",
            "python_env.yaml",
            "requirements.txt",
            "serving_input_example.json",
        }
        assert "code: code" not in (built / "MLmodel").read_text()


def test_planted_models_are_not_logged(sandbox):
    """But a good one is."""
    for plant in NOT_KEPT:
        CASES[plant](sandbox)
    sandbox.plant_model()
    errors = sandbox.deliver()
    assert errors.count("is logged without its") > 1
    assert sandbox.artifacts().count("MLmodel") == 1
    assert not sandbox.canary.exists()
