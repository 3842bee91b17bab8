"""python -m skperceptron.tracking"""

import os
import runpy
import subprocess
import sys

import pytest

from skperceptron.tracking import pending
from tests.tracking.faults import (
    fit_named,
    fit_partly,
    leave_behind,
    statuses_of,
)
from tests.tracking.test_left_behind import nobody

COMMAND = "skperceptron.tracking"


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process; gives back its exit code and what it says."""

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["tracking", *options])
        # It warns of a module that is run while it is imported, as doctests do.
        monkeypatch.delitem(sys.modules, f"{COMMAND}.__main__", False)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(COMMAND, run_name="__main__")
        return ended.value.code, *capsys.readouterr()

    return run


def test_nothing_waits(command, journal):
    for options in [(), ("--show",)]:
        code, out, err = command(*options)
        assert code == 0
        assert f"journal {journal}" in out
        assert "0 waiting" in out
        assert err == ""


def test_show_delivers_nothing(command, away):
    leave_behind(lambda: fit_named("first"), fit_partly, uri=away.uri)
    code, out, err = command("--show")
    assert code == 0
    assert err == ""  # no word that the store is away
    assert "first  FINISHED" in out
    assert "HillClimbPerceptron  unfinished" in out
    assert "2 waiting" in out
    assert pending() == 2


def test_what_waits_is_delivered(command, away):
    leave_behind(uri=away.uri)
    leave_behind(fit_partly, uri=away.uri)
    away.come_back()
    code, out, err = command()
    assert code == 0
    assert "2 delivered, 0 still waiting" in out
    assert err == ""
    assert statuses_of(away.path) == {"FINISHED": 1, "KILLED": 1}
    assert pending() == 0


def test_what_cannot_be_delivered_is_an_error(command, away):
    leave_behind(uri=(uri := nobody()))
    leave_behind(uri=away.uri)
    away.come_back()
    code, out, err = command()
    assert code == 1
    assert "1 delivered, 1 still waiting" in out
    assert f"Runs for {uri} could not be delivered" in err
    assert "Traceback" not in err
    assert statuses_of(away.path) == {"FINISHED": 1}


def test_names_do_not_command_the_terminal(command, away):
    leave_behind(lambda: fit_named("\x1b[2Jred\ud800\n"), uri=away.uri)
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
        command = [sys.executable, "-m", COMMAND, *options]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )

    done = run("--show")
    assert done.returncode == 0, done.stderr
    assert "0 waiting" in done.stdout
    assert run("--nonsense").returncode == 2
