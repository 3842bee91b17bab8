"""The files of the journal, whatever is in them."""

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import uuid
import warnings

import mlflow
import pytest

from skperceptron.tracking import TrackingWarning, flush, pending
from skperceptron.tracking.journal import _journal, _owners
from skperceptron.tracking.journal._entry import (
    Entry,
    LaterFormatError,
    UnreadableEntryError,
    header,
)
from skperceptron.tracking.journal._journal import Inbox
from skperceptron.tracking.journal._record import Metric, RunRecord
from skperceptron.tracking.recording._destination import Destination
from tests.tracking.test_command import command

KEY = "0123456789abcdef" * 2
# What version 1 of the format looks like; never to be changed.
FORMAT_1 = (
    '{"kind": "run", "format": 1, "key": "%(key)s", "name": "HillClimbPerceptron", '
    '"start_time": 1700000000000, "destination": {"tracking_uri": %(uri)s, '
    '"working_directory": "/tmp", "experiment_id": %(experiment)s, '
    '"experiment_name": null, "parent_run_id": null}, "parents": [{"key": '
    '"%(parent)s", "name": "GridSearchCV", "start_time": 1699999999000, '
    '"is_managed": false}], "writer": "vm-4242-deadbeef", "continues": false}\n'
    '{"kind": "log", "params": {"max_iter": "3"}, "tags": {"python_version": '
    '"3.11.7"}, "metrics": [["objective", 0.25, 0, 1700000000100], ["objective", 0.5, '
    '1, 1700000000200], ["objective", NaN, 2, 1700000000300]], "dataset": {"digest": '
    '"abcd1234", "n_samples": 150, "n_features": 4}, "registered_model_name": null}\n'
    '{"kind": "something new"}\n'
    '{"kind": "end", "status": "FINISHED", "end_time": 1700000000400}\n'
)
DESTINATION = {
    "tracking_uri": None,
    "working_directory": "/tmp",
    "experiment_id": None,
    "experiment_name": None,
    "parent_run_id": None,
}


def old_entry(key=KEY, experiment=None, uri=None):
    words = {"experiment": json.dumps(experiment), "uri": json.dumps(uri)}
    return FORMAT_1 % {"key": key, "parent": key[::-1], **words}


def deliverable_entry(inbox):
    """Write a file of version 1 for the store of the test."""
    here = Destination.current()
    entry = inbox.entry(uuid.uuid4().hex)
    text = old_entry(entry.key, here.experiment_id, here.tracking_uri)
    entry.path.write_text(text)
    return entry


@pytest.fixture
def inbox(journal):
    """The inbox of a process that has died."""
    inbox = Inbox(journal, "vm-4242-deadbeef")
    inbox.folder.mkdir(parents=True)
    return inbox


@pytest.fixture
def entry(journal):
    """A file of this process with a first line."""
    inbox = Inbox(journal, _owners.this_process())
    inbox.open()
    entry = inbox.entry(KEY)
    record = RunRecord("a name", 5)
    head = header(record, key=KEY, destination=DESTINATION, parents=[])
    entry.append(head, create=True)
    return entry


def log(*values):
    record = RunRecord("", metrics=[Metric("loss", v, i, 7) for i, v in values])
    return record.events()[0]


def values(entry):
    return [metric.value for metric in entry.read().record.metrics]


def test_what_is_appended_is_read(entry):
    entry.append(log((0, 0.5)))
    entry.append(log((1, 0.25), (2, 0.125)), {"kind": "end", **ENDED})
    contents = entry.read()
    assert (contents.record.name, contents.record.start_time) == ("a name", 5)
    assert [m.value for m in contents.record.metrics] == [0.5, 0.25, 0.125]
    assert contents.record.status == "FAILED"
    assert contents.is_done
    assert contents.n_damaged == 0
    assert contents.position == entry.path.stat().st_size


ENDED = {"status": "FAILED", "end_time": 9}


def test_what_is_delivered_is_not_read_again(entry):
    entry.append(log((0, 0.5)))
    position = entry.read().position
    entry.append(log((1, 0.25)))
    entry.append({"kind": "delivered", "run_id": "r", "position": position})
    assert entry.read().run_id == "r"
    assert values(entry) == [0.25]


def test_everything_is_readable_by_its_owner_only(entry):
    (entry.files).mkdir(mode=0o700)
    for path in [*entry.path.parents[1].rglob("*"), entry.path.parents[1]]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_what_follows_half_a_line_is_read(entry):
    entry.append(log((0, 0.5)))
    with entry.path.open("a") as file:
        file.write('{"kind": "lo')  # the writer was killed here
    entry.append({"kind": "delivering"})
    entry.append({"kind": "created", "run_id": "r"})
    contents = entry.read()
    assert contents.was_tried
    assert contents.run_id == "r"
    assert contents.n_damaged == 1
    assert values(entry) == [0.5]


def test_file_that_could_not_be_begun_can_be_begun_later(entry, monkeypatch):
    other = Entry(entry.path.with_name(f"{KEY[::-1]}.0.jsonl"))

    def full(file, data):
        write(file, bytes(data[:9]))
        raise OSError(28, "No space left on device")

    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(OSError, match="No space"):
            other.append(log((0, 0.5)), create=True)
    assert not other.path.exists()
    other.append(log((0, 0.5)), create=True)


@pytest.mark.parametrize(
    "name", [pytest.param("plain", marks=pytest.mark.slow), "a.b.local"]
)
def test_process_is_alive_until_it_ends_whatever_its_host_is_called(name, journal):
    code = (
        "import socket, sys, pathlib\n"
        f"socket.gethostname = lambda: {name!r}\n"
        "from skperceptron.tracking.journal import _journal, _owners\n"
        f"inbox = _journal.Inbox(pathlib.Path({str(journal)!r}), "
        "_owners.this_process())\n"
        "inbox.open()\n"
        "print(inbox.owner, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    arguments = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, **pipes) as one:
        with subprocess.Popen(command, **pipes) as other:
            owners = [process.stdout.readline().strip() for process in (one, other)]
            assert all(_owners.is_alive(journal, owner) for owner in owners)
            one.kill()
            one.wait()
            assert not _owners.is_alive(journal, owners[0])
            assert _owners.is_alive(journal, owners[1])
        assert not _owners.is_alive(journal, owners[1])
    _journal.sweep(journal)
    assert os.listdir(journal) == ["processes"]
    assert os.listdir(journal / "processes") == []


def test_process_shows_life_again_when_its_journal_was_removed(entry, journal):
    shutil.rmtree(journal)
    inbox = Inbox(journal, _owners.this_process())
    inbox.open()
    sign = journal / "processes" / _owners.this_process()
    assert sign.exists()


def test_process_without_a_name_is_dead(journal):
    for name in ("", "..", "a\0b", "x" * 5000, "\ud800"):
        assert not _owners.is_alive(journal, name)


def test_parts_of_a_run_are_listed_in_order(entry):
    inbox = Inbox(entry.path.parents[1], entry.path.parent.name)
    for part in (10, 2, 1):
        inbox.entry(KEY, part).append(log((0, 0.5)), create=True)
    assert [e.part for e in inbox.entries()] == [0, 1, 2, 10]


def test_file_of_version_1_is_read(inbox):
    entry = inbox.entry(KEY)
    entry.path.write_text(old_entry())
    contents = entry.read()
    assert contents.record.params == {"max_iter": "3"}
    assert [m.step for m in contents.record.metrics] == [0, 1, 2]
    assert contents.record.dataset.n_samples == 150
    assert contents.record.end_time == 1700000000400
    assert contents.parents[0]["name"] == "GridSearchCV"
    assert not contents.continues


def test_file_of_version_1_is_delivered(inbox, runs):
    deliverable_entry(inbox)
    assert pending() == 1
    search, fit = runs()
    assert (fit.name, fit.status) == ("HillClimbPerceptron", "FINISHED")
    assert (search.name, search.status) == ("GridSearchCV", "KILLED")
    assert fit.parent == search.run_id
    assert len(fit.metrics["objective"]) == 3
    assert pending() == 0
    assert not inbox.folder.exists()


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_run_of_a_killed_process_ends_as_its_file_says(status, inbox, runs):
    key, address = uuid.uuid4().hex, Destination.current().address()
    head = header(
        RunRecord("trial 0"),
        key=key,
        destination=address,
        parents=[],
        status_if_killed=status,
    )
    inbox.entry(key).append({**head, "writer": inbox.owner}, create=True)
    assert [run.status for run in runs()] == [status]


def test_file_with_an_unknown_status_cannot_be_read(entry):
    text = entry.path.read_text()
    entry.path.write_text(text.replace('"KILLED"', '"LOST"'))
    with pytest.raises(UnreadableEntryError, match="'LOST' is no status"):
        entry.read()


def test_file_of_a_later_version_is_left_alone_and_reported_once(inbox, journal):
    path = inbox.entry(KEY).path
    text = json.dumps({"format": 2, "something": "else"}) + "\nwhatever"
    path.write_text(text)
    os.utime(path, (0, 0))
    with pytest.raises(LaterFormatError):
        Entry(path).read()
    with pytest.warns(TrackingWarning, match="later version") as caught:
        flush()
    assert len(caught) == 1
    flush()  # a warning would be an error here
    assert path.read_text() == text


def test_file_that_cannot_be_read_is_put_aside_and_reported(inbox):
    path = inbox.entry(KEY).path
    for content in (b"first", b"second"):
        path.write_bytes(content)
        with pytest.warns(TrackingWarning, match="put aside"):
            flush()
    aside = sorted(p.read_bytes() for p in inbox.folder.glob("*.damaged*"))
    assert aside == [b"first", b"second"]
    assert not path.exists()


def test_no_end_of_the_file_makes_it_unreadable_but_within_the_first_line(inbox):
    entry = inbox.entry(KEY)
    whole = old_entry().encode()
    first = whole.index(b"\n") + 1
    for length in range(len(whole)):
        entry.path.write_bytes(whole[:length])
        if length < first:
            with pytest.raises(UnreadableEntryError):
                entry.read()
        else:
            assert entry.read().position <= length


def test_no_damage_does_more_than_make_lines_unreadable(inbox):
    entry, dice = inbox.entry(KEY), random.Random(0)
    whole = bytearray(old_entry().encode())
    for _ in range(2000):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(whole))] = dice.randrange(256)
        entry.path.write_bytes(damaged)
        try:
            contents = entry.read()
        except UnreadableEntryError:
            continue
        assert isinstance(contents.record.name, str)
        # What earlier versions have not written is None.
        assert set(contents.destination) == {*DESTINATION, "environment_run_id"}


HEAD = json.loads(old_entry().splitlines()[0])
WRONG = [None, [], {}, "x", -1, 1e400, 10**30, "\ud800", [[[[]]]], True]


@pytest.mark.parametrize("field", sorted(HEAD))
def test_first_line_of_any_types_is_readable_or_not(field, inbox):
    entry = inbox.entry(KEY)
    for value in WRONG:
        entry.path.write_text(json.dumps({**HEAD, field: value}) + "\n")
        try:
            contents = entry.read()
        except UnreadableEntryError:
            continue
        _owners.is_alive(inbox.journal, contents.writer)
        assert 0 <= contents.record.start_time < 2**63


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "end", "status": "HAPPY", "end_time": 1}',
        '{"kind": "end", "status": "FINISHED", "end_time": 1e400}',
        '{"kind": "end", "status": "FINISHED", "end_time": -1}',
        '{"kind": "log"}',
        '{"kind": ["log"]}',
        '["kind"]',
        "17",
        "[" * 100_000,
        '{"kind": "delivered", "run_id": "r", "position": "here"}',
        json.dumps(log((0, 0.5)))[:-1].replace("7]]", f"{10**30}]]") + "}",
        json.dumps(log((0, 0.5)))[:-1].replace("0.5", "1" * 400) + "}",
    ],
)
def test_line_of_wrong_types_is_counted(line, entry):
    with entry.path.open("a") as file:
        file.write(line + "\n")
    entry.append(log((0, 0.5)))
    assert values(entry) == [0.5]
    assert entry.read().n_damaged == (0 if line == '{"kind": ["log"]}' else 1)


def test_names_of_parents_that_are_paths_are_not_accepted(inbox):
    entry = inbox.entry(KEY)
    parent = {**HEAD["parents"][0], "key": "../../../tmp/evil"}
    entry.path.write_text(json.dumps({**HEAD, "parents": [parent]}) + "\n")
    with pytest.raises(UnreadableEntryError, match="no identity"):
        entry.read()


def test_links_and_pipes_are_not_followed(inbox, tmp_path):
    outside = tmp_path / "outside.jsonl"
    outside.write_text(old_entry())
    inbox.entry(KEY).path.symlink_to(outside)
    os.mkfifo(inbox.entry(KEY, 1).path)
    inbox.entry(KEY, 2).path.mkdir()
    (inbox.journal / "linked").symlink_to(tmp_path)
    assert inbox.entries() == []
    assert Inbox(inbox.journal, "linked") not in _journal.inboxes(inbox.journal)
    with pytest.raises(OSError, match="symbolic"):
        inbox.entry(KEY).read()
    with pytest.raises(OSError, match="symbolic"):
        inbox.entry(KEY).append(log((0, 0.5)))
    assert outside.read_text() == old_entry()


@pytest.mark.parametrize("kind", ["link to a folder", "file"])
def test_removing_an_entry_leaves_alone_what_is_outside(kind, entry, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    if kind == "file":
        entry.files.touch()
    else:
        entry.files.symlink_to(outside)
    entry.remove()
    assert (outside / "precious").exists()
    assert not os.path.lexists(entry.files)
    assert not entry.path.exists()


def test_artifacts_outside_the_journal_are_not_delivered(inbox, runs, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    entry = deliverable_entry(inbox)
    entry.files.mkdir()
    (entry.files / "stolen.txt").symlink_to(secret)
    with pytest.warns(TrackingWarning, match="logged without its files"):
        fit = runs()[1]
    assert fit.status == "FINISHED"
    assert mlflow.MlflowClient().list_artifacts(fit.run_id) == []
    assert secret.exists()


def test_only_one_delivers(entry):
    with entry.locked() as first, entry.locked() as second:
        assert (first, second) == (True, False)
    with entry.locked() as third:
        assert third
        entry.remove()
    with entry.locked() as fourth:
        assert not fourth


def test_counting_survives_any_journal(inbox, journal):
    (journal / "a file").touch()
    (journal / "processes").rmdir() if (journal / "processes").exists() else None
    (journal / "processes").touch()
    inbox.entry(KEY).path.write_text("nonsense\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pending() == 0


def test_command_reports_a_file_that_cannot_be_read(command, inbox):
    inbox.entry(uuid.uuid4().hex).path.write_text("nonsense\n")
    code, _, err = command()
    assert code == 0
    assert "cannot be read and was put aside" in err
