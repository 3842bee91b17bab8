"""Runs of users who have no folder of their own that can be written."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path

import pytest

from skperceptron.tracking import TrackingWarning, flush, pending
from tests.tracking.faults import fit, leave_behind, statuses_of
from tests.tracking.test_command import command  # noqa: F401 - a fixture

# Nobody can make a folder there, not even root.
NOWHERE = "/proc/1/none"


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch, delivery_here):
    """An own folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


WITHOUT_HOME = ["no home", "home that cannot be written"]


@pytest.fixture(params=[*WITHOUT_HOME, "named journal"])
def without_folder(request, monkeypatch):
    """Leave the user without a folder for the journal."""
    monkeypatch.delenv("SKPERCEPTRON_JOURNAL", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if request.param == "no home":
        monkeypatch.setattr("platformdirs.user_state_path", _no_home)
    elif request.param == "named journal":
        monkeypatch.setenv("SKPERCEPTRON_JOURNAL", NOWHERE)
    else:
        monkeypatch.setenv("XDG_STATE_HOME", NOWHERE)


def _no_home(*args, **kwargs):
    raise RuntimeError("Could not determine home directory.")


def test_fits_and_models_of_a_user_without_a_home_are_tracked(temporary, tmp_path):
    # In a new process, where two threads need MLflow at the same time.
    code = """
    import os, pwd, warnings

    def nobody(user_id):
        raise KeyError(user_id)

    pwd.getpwuid = nobody
    from sklearn.datasets import load_iris
    from skperceptron import HillClimbPerceptron
    from skperceptron.tracking import flush, pending

    warnings.simplefilter("error")
    clf = HillClimbPerceptron(max_iter=20).fit(*load_iris(return_X_y=True))
    assert clf.run_id_ is not None
    assert (pending(), flush()) == (0, 0)
    assert "HOME" not in os.environ
    """
    without = ("HOME", "LOGNAME", "USER", "XDG_STATE_HOME", "SKPERCEPTRON_JOURNAL")
    environment = {k: v for k, v in os.environ.items() if k not in without}
    environment |= {"TMPDIR": str(temporary), "MLFLOW_TRACKING_URI": "sqlite:///new.db"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_fit_is_tracked(runs, without_folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrackingWarning)
        fit()
    assert [run.status for run in runs()] == ["FINISHED"]
    assert pending() == 0


def test_other_processes_see_and_deliver_what_waits(
    away,
    without_folder,
    command,  # noqa: F811
    temporary,
):
    leave_behind(uri=away.uri)
    assert pending() == 1
    _, out, _ = command("--show")
    assert str(temporary) in out
    assert "1 waiting" in out
    away.come_back()
    assert flush() == 0
    assert statuses_of(away.path) == {"FINISHED": 1}


@pytest.mark.parametrize("without_folder", WITHOUT_HOME, indirect=True)
def test_flush_delivers_from_both_when_the_usual_folder_is_back(
    away, without_folder, tmp_path, monkeypatch
):
    leave_behind(uri=away.uri)
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_: tmp_path / "state")
    leave_behind(uri=away.uri)
    assert (tmp_path / "state").exists()
    assert pending() == 2
    away.come_back()
    assert flush() == 0
    assert statuses_of(away.path) == {"FINISHED": 2}


def test_nothing_is_raised_where_there_is_no_temporary_folder(
    without_folder, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", NOWHERE)
    assert pending() == 0
    assert flush() == 0


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("without_folder", WITHOUT_HOME[:1], indirect=True)
@pytest.mark.parametrize("kind", ["link", "file", "open to all", "of another user"])
def test_what_somebody_else_has_put_there_is_not_used(
    kind, away, without_folder, temporary, tmp_path
):
    leave_behind(uri=away.uri)
    (theirs,) = temporary.glob("skperceptron-journal-*")
    assert mode_of(theirs) == 0o700
    shutil.rmtree(theirs)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if kind == "link":
        theirs.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        theirs.touch()
    else:
        theirs.mkdir(mode=0o700)
    if kind == "open to all":
        theirs.chmod(0o777)
    if kind == "of another user":
        if os.getuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(theirs, 12345, 12345)
    leave_behind(fit, fit, uri=away.uri)
    assert pending() == 2
    (mine,) = set(temporary.glob("skperceptron-journal-*")) - {theirs}
    assert mode_of(mine) == 0o700
    assert kind == "file" or not list(theirs.iterdir())
