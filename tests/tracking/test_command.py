"""python -m skperceptron.tracking"""

import os
import subprocess
import sys
import uuid

import pytest

from skperceptron.tracking import __main__, pending
from skperceptron.tracking.journal._entry import header
from skperceptron.tracking.journal._journal import Inbox
from skperceptron.tracking.journal._named_stores import note_store
from skperceptron.tracking.journal._record import RunRecord
from skperceptron.tracking.recording._destination import Destination


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process; gives back its exit code and what it says."""

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["tracking", *options])
        code = __main__.main()
        return code, *capsys.readouterr()

    return run


def leave_behind(journal, name="a fit", tracking_uri=None, is_ended=True):
    """Write down a run whose process has died."""
    destination = Destination.current().address()
    if tracking_uri is not None:
        destination |= {"tracking_uri": tracking_uri, "experiment_id": None}
        note_store(destination)  # as the fit did
    inbox = Inbox(journal, "vm-1-dead")
    inbox.folder.mkdir(parents=True, exist_ok=True)
    entry = inbox.entry(uuid.uuid4().hex)
    record = RunRecord(name, 1_700_000_000_000)
    record.end_time = record.start_time + 1 if is_ended else None
    head = header(record, key=entry.key, destination=destination, parents=[])
    head["writer"] = inbox.owner
    entry.append(head, *record.events(), create=True)
    return entry


def test_nothing_waits(command, journal):
    for options in [(), ("--show",)]:
        code, out, err = command(*options)
        assert code == 0
        assert f"journal {journal}" in out
        assert "0 waiting" in out
        assert err == ""


def test_show_delivers_nothing(command, journal, runs):
    leave_behind(journal, "first")
    leave_behind(journal, "second", is_ended=False)
    code, out, _ = command("--show")
    assert code == 0
    assert "first  FINISHED" in out
    assert "second  unfinished" in out
    assert "2 waiting" in out
    assert pending() == 2
    assert runs.at_once() == []


def test_what_waits_is_delivered(command, journal, runs):
    leave_behind(journal)
    leave_behind(journal, is_ended=False)
    code, out, err = command()
    assert code == 0
    assert "2 delivered, 0 still waiting" in out
    assert err == ""
    assert sorted(run.status for run in runs.at_once()) == ["FINISHED", "KILLED"]
    assert [path.name for path in journal.iterdir()] == ["processes"]


def test_what_cannot_be_delivered_is_an_error(command, journal, runs):
    leave_behind(journal, tracking_uri="http://127.0.0.1:1")
    leave_behind(journal)
    code, out, err = command()
    assert code == 1
    assert "1 delivered, 1 still waiting" in out
    assert "Runs for http://127.0.0.1:1 could not be delivered" in err
    assert "Traceback" not in err
    assert [run.status for run in runs.at_once()] == ["FINISHED"]


def test_file_that_cannot_be_read_is_reported(command, journal, runs):
    entry = leave_behind(journal)
    entry.path.with_name(f"{uuid.uuid4().hex}.0.jsonl").write_text("nonsense\n")
    code, out, err = command()
    assert code == 0
    assert "1 delivered, 0 still waiting" in out
    assert "cannot be read and was put aside" in err


def test_only_file_that_cannot_be_read_is_reported(command, journal):
    inbox = Inbox(journal, "vm-1-dead")
    inbox.folder.mkdir(parents=True)
    inbox.entry(uuid.uuid4().hex).path.write_text("nonsense\n")
    code, _, err = command()
    assert code == 0
    assert "cannot be read and was put aside" in err


def test_names_do_not_command_the_terminal(command, journal, runs):
    leave_behind(journal, "\x1b[2Jred\ud800\n")
    code, out, _ = command("--show")
    assert code == 0
    assert "?[2Jred??  FINISHED" in out


def test_it_is_a_command(tmp_path):
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "SKPERCEPTRON_JOURNAL": str(tmp_path / "journal"),
    }

    def run(*options):
        command = [sys.executable, "-m", "skperceptron.tracking", *options]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )

    done = run("--show")
    assert done.returncode == 0, done.stderr
    assert "0 waiting" in done.stdout
    assert run("--nonsense").returncode == 2
