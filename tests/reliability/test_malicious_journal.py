"""A file that others have written runs no code, and writes nothing outside its folder.

Every case plants something in a journal; then another process delivers what waits
there. Around the journal and the store lies a tree of files that must stay as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris

import skperceptron
from skperceptron.tracking.delivery._models import why_not_ours
from skperceptron.tracking.journal._entry import (
    _ADDRESS,
    Contents,
    Entry,
    UnreadableEntryError,
    header,
)
from skperceptron.tracking.journal._journal import Inbox
from skperceptron.tracking.journal._named_stores import note_store
from skperceptron.tracking.journal._notes import Notes
from skperceptron.tracking.journal._record import Dataset, Metric, RunRecord
from skperceptron.tracking.recording._model import save_model

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
        self.inbox = Inbox(folder / "journal", "vm-4242-deadbeef")
        for path in (self.outside / "folder", self.store, self.inbox.folder):
            path.mkdir(parents=True)
        (folder / "home").mkdir()
        (self.outside / "secret.txt").write_text(SECRET)
        (self.outside / "folder" / "precious").write_text("precious")
        with closing(sqlite3.connect(self.outside / "other.db")) as db:
            db.execute("CREATE TABLE precious (x)")
        self.uri = f"sqlite:///{self.store / 'mlflow.db'}"

    def head(self, **changes: Any) -> dict[str, Any]:
        address = {
            "tracking_uri": self.uri,
            "working_directory": str(self.store),
            "experiment_id": None,
            "experiment_name": "planted",
            "parent_run_id": None,
        }
        address |= {k: changes.pop(k) for k in list(changes) if k in address}
        record = RunRecord(changes.pop("name", "planted"), 1_700_000_000_000)
        head = header(record, key=uuid.uuid4().hex, destination=address, parents=[])
        return {**head, "writer": self.inbox.owner, **changes}

    def plant(self, *events: Any, key: str | None = None, **head: Any) -> Entry:
        """Write a file of the journal."""
        entry = self.inbox.entry(key or uuid.uuid4().hex)
        end = {"kind": "end", "status": "FINISHED", "end_time": 1_700_000_000_500}
        lines = [self.head(**head), *events, end]
        entry.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return entry

    def plant_bytes(self, content: bytes) -> Entry:
        entry = self.inbox.entry(uuid.uuid4().hex)
        entry.path.write_bytes(content)
        return entry

    def plant_files(self) -> Path:
        """Write a file of the journal that has artifacts."""
        folder = self.plant().files
        folder.mkdir()
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
            save_model(clf, X, folder)
        return folder

    def deliver(self, **environment: str) -> str:
        """Let another process deliver all, and check what must hold whatever waits."""
        self.plant(name="genuine")
        self.model()
        before = snapshot(self.folder, self.store, self.inbox.journal)
        was_there = SYSTEM_FOLDER.exists()
        done = subprocess.run(
            [sys.executable, "-m", "skperceptron.tracking", "--timeout", "120"],
            cwd=self.store,
            env={
                **os.environ,
                "HOME": str(self.folder / "home"),
                "XDG_STATE_HOME": str(self.folder / "home"),
                "MLFLOW_TRACKING_URI": self.uri,
                "SKPERCEPTRON_JOURNAL": str(self.inbox.journal),
                **environment,
            },
            capture_output=True,
            text=True,
            errors="replace",
            timeout=280,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
        assert snapshot(self.folder, self.store, self.inbox.journal) == before
        assert SYSTEM_FOLDER.exists() == was_there
        assert "genuine" in self.names(), done.stderr
        for path in self.store.rglob("*"):
            assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
            assert path.suffix != ".pkl"
        return done.stderr

    def names(self) -> list[str]:
        with closing(sqlite3.connect(self.store / "mlflow.db")) as db:
            return [name for (name,) in db.execute("SELECT name FROM runs")]

    def artifacts(self) -> list[str]:
        return [p.name for p in (self.store / "mlruns").rglob("*") if p.is_file()]


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
    return Sandbox(tmp_path)


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


def log(**changes: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = dict.fromkeys(["dataset", "registered_model_name"])
    return {
        "kind": "log",
        "params": {},
        "tags": {},
        "metrics": [],
        **nothing,
        **changes,
    }


def parent(key: str, **changes: Any) -> dict[str, Any]:
    return {
        "key": key,
        "name": "above",
        "start_time": 1,
        "is_managed": False,
        **changes,
    }


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
    "a database in the journal": lambda s: f"sqlite:///{s.inbox.folder / 'x.db'}",
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
    one, two = uuid.uuid4().hex, uuid.uuid4().hex
    s.plant(key=one, parents=[parent(two)])
    s.plant(key=two, parents=[parent(one)])


def plant_pipe(s: Sandbox) -> None:
    os.mkfifo(s.inbox.entry(uuid.uuid4().hex).path)


def plant_link_to_entry(s: Sandbox, link: Callable[[Path, Path], None]) -> None:
    entry = s.plant(name="stolen")
    moved = entry.path.rename(s.outside / entry.path.name)
    link(moved, entry.path)


def plant_link_among_files(s: Sandbox, link: Callable[[Path, Path], None]) -> None:
    link(s.outside / "secret.txt", s.plant_files() / "stolen.txt")


def symlink(target: Path, path: Path) -> None:
    path.symlink_to(target)


def hard_link(target: Path, path: Path) -> None:
    path.hardlink_to(target)


def plant_linked_signs(s: Sandbox) -> None:
    (s.inbox.journal / "processes").symlink_to(s.outside / "folder")


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


def describe_model(s: Sandbox, old: str, new: str) -> None:
    file = s.plant_model() / "MLmodel"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def plant_pickle(s: Sandbox) -> None:
    folder = s.plant_model()
    (folder / "model.pkl").write_bytes(pickle.dumps(Payload(s.canary)))
    text = (folder / "MLmodel").read_text().replace("model.skops", "model.pkl")
    text = text.replace("serialization_format: skops", "serialization_format: pickle")
    (folder / "MLmodel").write_text(text)


def plant_trust(s: Sandbox) -> None:
    describe_model(s, "    - numpy.dtype\n", "    - numpy.dtype\n    - os.system\n")


def plant_code(s: Sandbox) -> None:
    folder = s.plant_model()
    (folder / "code").mkdir()
    (folder / "code" / "sklearn.py").write_text(
        f"import os\nos.mkdir({str(s.canary)!r})"
    )
    text = (folder / "MLmodel").read_text()
    text = text.replace("  sklearn:\n    code: null", "  sklearn:\n    code: code")
    assert "code: code" in text
    (folder / "MLmodel").write_text(text)


def plant_yaml(s: Sandbox) -> None:
    command = f"!!python/object/apply:os.mkdir [{str(s.canary)!r}]\n"
    (s.plant_model() / "MLmodel").write_text(f"flavors: {command}")


def plant_pipe_in_model(s: Sandbox) -> None:
    file = s.plant_model() / "MLmodel"
    file.unlink()
    os.mkfifo(file)


CASES: dict[str, Callable[[Sandbox], Any]] = {
    **{
        f"its store is {what}": lambda s, make=make: s.plant(tracking_uri=make(s))
        for what, make in STORES.items()
    },
    "its store is the default one of a folder": lambda s: s.plant(
        tracking_uri=None, working_directory=str(s.outside)
    ),
    **{
        f"its {field} is {what}": lambda s, f=field, t=text: s.plant(**{f: t})
        for field in (
            "name",
            "writer",
            "working_directory",
            "experiment_id",
            "experiment_name",
            "parent_run_id",
        )
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"the key in its first line is {what}": lambda s, t=text: s.plant_bytes(
            json.dumps({**s.head(), "key": t}).encode() + b"\n"
        )
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"the names of its {kind} are {what}": lambda s, k=kind, t=text: s.plant(
            log(**{k: [[t, 0.5, 0, 1]] if k == "metrics" else {t: t}})
        )
        for kind in ("params", "tags", "metrics")
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"its model is registered as {what}": lambda s, t=text: s.plant(
            log(registered_model_name=t)
        )
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"its run is {what}": lambda s, t=text: s.plant(
            {"kind": "created", "run_id": t}, log(params={"a": "b"})
        )
        for what, text in ODD_TEXTS.items()
    },
    **{
        f"the key of the run above is {what}": lambda s, t=text: s.plant(
            parents=[parent(t)]
        )
        for what, text in ODD_TEXTS.items()
    },
    "it is below itself": lambda s: s.plant(key="a" * 32, parents=[parent("a" * 32)]),
    "two are below each other": plant_loop,
    "ten thousand runs are above it": lambda s: s.plant(
        parents=[parent(f"{i:032x}") for i in range(10_000)]
    ),
    "its numbers are huge": lambda s: s.plant_bytes(
        json.dumps(s.head()).encode()
        + b'\n{"kind": "log", "params": {}, "tags": {}, "metrics": [["a", 1'
        + b"0" * 5000
        + b', 0, 1]], "dataset": null, "registered_model_name": null}\n'
    ),
    "its dataset is huge": lambda s: s.plant(
        log(dataset={"digest": "x", "n_samples": 10**4000, "n_features": 10**4000})
    ),
    "its metrics are no numbers": lambda s: s.plant(
        log(metrics=[["a", v, 0, 1] for v in (float("nan"), float("inf"), -1e400)])
    ),
    "its times are far away": lambda s: s.plant(
        log(metrics=[["a", 1.0, 2**63 - 1, 2**63 - 1]]), start_time=253 * 10**12
    ),
    "it is empty": lambda s: s.plant_bytes(b""),
    "it is of zero bytes": lambda s: s.plant_bytes(bytes(10**6)),
    "it is no text": lambda s: s.plant_bytes(bytes(range(256)) * 100),
    "it is a pickle": lambda s: s.plant_bytes(pickle.dumps(Payload(s.canary))),
    "it is a database": lambda s: s.plant_bytes((s.outside / "other.db").read_bytes()),
    "it is nested deeply": lambda s: s.plant_bytes(b"[" * 10**6 + b"\n"),
    "its lines are nested deeply": lambda s: s.plant_bytes(
        json.dumps(s.head()).encode() + b"\n" + b'{"a":' * 10**5 + b"\n"
    ),
    "it is in another encoding": lambda s: s.plant_bytes(
        (json.dumps(s.head()) + "\n").encode("utf-16")
    ),
    "its line has 20 MB": lambda s: s.plant(log(params={"a": "x" * 20_000_000})),
    "it is larger than what can be read": lambda s: os.truncate(s.plant().path, 10**12),
    "it is a link": lambda s: plant_link_to_entry(s, symlink),
    "it is a second name of a file": lambda s: plant_link_to_entry(s, hard_link),
    "it is a pipe": plant_pipe,
    "it is a folder": lambda s: s.inbox.entry(uuid.uuid4().hex).path.mkdir(),
    "the folder of a process is a link": lambda s: symlink(
        s.outside, s.inbox.journal / "vm-1-linked"
    ),
    "the folder of signs is a link": plant_linked_signs,
    "its files are a link": lambda s: symlink(s.outside, s.plant().files),
    "its files are a file": lambda s: s.plant().files.write_text("x"),
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
    "its model is loaded by something else": lambda s: describe_model(
        s, "loader_module: skperceptron.tracking.pyfunc", "loader_module: os"
    ),
    "its model has another flavor, too": lambda s: describe_model(
        s, "flavors:\n", "flavors:\n  pytorch:\n    model_data: data\n"
    ),
    "its model trusts foreign types": plant_trust,
    "its model describes itself by commands": plant_yaml,
    "its model describes itself through a pipe": plant_pipe_in_model,
    "its model has a huge description": lambda s: (
        s.plant_model() / "MLmodel"
    ).write_bytes(b"a: b\n" * 5_000_000),
}


def test_nothing_that_is_planted_changes_anything_outside(sandbox, attacker):
    for plant in CASES.values():
        plant(sandbox)
    sandbox.plant(tracking_uri=attacker.uri)
    errors = sandbox.deliver(MLFLOW_TRACKING_TOKEN=SECRET)
    assert attacker.asked == []
    assert "stolen" not in sandbox.names()
    assert not {"stolen.txt", "zeros", "precious"} & set(sandbox.artifacts())
    assert "a file of the journal alone is not believed" in errors


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
    sandbox.plant(tracking_uri=attacker.uri)
    note_store({"tracking_uri": attacker.uri})
    assert "not believed" not in sandbox.deliver()
    assert attacker.asked


def test_what_is_noted_of_stores_is_for_its_owner_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    note_store({"tracking_uri": f"sqlite:///{tmp_path}/x.db"})
    (note,) = tmp_path.rglob("stores/*")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert stat.S_IMODE(note.parent.stat().st_mode) == 0o700


# Damage


def whole_entry() -> bytes:
    """A file as a fit writes it."""
    record = RunRecord("a fit", 1_700_000_000_000, {"max_iter": "3"}, {"a": "b"})
    record.metrics = [Metric("loss", 0.5 / i, i, 1_700_000_000_000) for i in (1, 2, 3)]
    record.dataset = Dataset("abcd1234", 150, 4)
    record.end_time = record.start_time + 1
    address = dict.fromkeys(_ADDRESS)
    parents = [parent("b" * 32)]
    head = header(record, key="a" * 32, destination=address, parents=parents)
    events = [head, *record.events()]
    return "".join(json.dumps(event) + "\n" for event in events).encode()


WHOLE = whole_entry()


@st.composite
def damaged_entries(draw: Any) -> bytes:
    """A file in which bytes were changed, lost, doubled or put in."""
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
    return bytes(
        content[: draw(st.integers(0, len(content)))]
        if draw(st.booleans())
        else content
    )


def read(content: bytes, folder: Path) -> Contents | None:
    entry = Inbox(folder, "dead").entry("a" * 32)
    entry.path.parent.mkdir(exist_ok=True)
    entry.path.write_bytes(content)
    try:
        contents = entry.read()
    except UnreadableEntryError:
        return None
    assert 0 <= contents.position <= len(content)
    assert all(isinstance(m.value, float) for m in contents.record.metrics)
    assert all(abs(m.step) < 2**63 for m in contents.record.metrics)
    return contents


def of_damaged_entries(n_examples: int) -> Callable[..., Any]:
    def decorate(test: Callable[..., Any]) -> Any:
        return settings(
            max_examples=n_examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )(given(content=damaged_entries())(test))

    return decorate


@of_damaged_entries(200)
def test_damaged_file_is_read_or_refused(content, tmp_path_factory):
    read(content, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@pytest.mark.timeout(3600)
@of_damaged_entries(20_000)
def test_file_with_any_damage_is_read_or_refused(content, tmp_path_factory):
    read(content, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_delivery_of_damaged_files_changes_nothing_outside(sandbox):
    dice = __import__("random").Random(0)
    whole = WHOLE.replace(
        b'"tracking_uri": null', f'"tracking_uri": "{sandbox.uri}"'.encode()
    )
    for _ in range(500):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        if dice.random() < 0.3:
            del content[dice.randrange(len(content)) :]
        sandbox.plant_bytes(bytes(content))
    sandbox.deliver()


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
    with pytest.raises(Exception, match=r"Untrusted|untrusted|not trusted") as caught:
        mlflow.sklearn.load_model(str(model))
    assert not isinstance(caught.value, ImportError)


def test_model_file_that_is_a_pickle_is_refused(sandbox):
    model = sandbox.plant_model()
    (model / "model.skops").write_bytes(pickle.dumps(Payload(sandbox.canary)))
    with pytest.raises(zipfile.BadZipFile):
        mlflow.sklearn.load_model(str(model))
    assert not sandbox.canary.exists()


@pytest.mark.parametrize(
    "plant",
    [
        "its model is a file",
        "its model is empty",
        "its model is a pickle",
        "its model brings code",
        "its model is loaded by something else",
        "its model has another flavor, too",
        "its model trusts foreign types",
        "its model describes itself by commands",
        "its model has a huge description",
    ],
)
def test_reason_why_a_model_is_not_ours(plant, sandbox):
    CASES[plant](sandbox)
    (model,) = sandbox.inbox.folder.glob("*.files/model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert why_not_ours(model).startswith(
            ("has no", "has an", "is not stored", "trusts types")
        )
    assert not sandbox.canary.exists()


def test_good_model_is_ours(sandbox):
    assert why_not_ours(sandbox.plant_model()) == ""


def test_model_with_types_that_its_user_trusts_is_ours_for_all_processes(
    sandbox, monkeypatch
):
    plant_trust(sandbox)
    (model,) = sandbox.inbox.folder.glob("*.files/model")
    Notes("trusted_types").add("os.system")
    assert why_not_ours(model) == ""
