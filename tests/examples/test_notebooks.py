"""The notebooks of the tutorial are stored without outputs, and run as they are."""

import json
import re
from pathlib import Path
from types import ModuleType

import matplotlib
import matplotlib.pyplot as plt
import mlflow
import optuna
import pytest

import skperceptron

pytest.importorskip("IPython")  # in which notebooks run

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "examples" / "notebooks").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path, kind):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


@pytest.fixture
def _as_for_a_reader(tmp_path, monkeypatch):
    matplotlib.use("Agg")  # no windows
    monkeypatch.chdir(tmp_path)
    mlflow.set_experiment("Default")  # whichever other tests have left active
    yield
    mlflow.set_experiment("Default")
    skperceptron._config._process_wide.clear()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    plt.close("all")


@pytest.mark.usefixtures("_as_for_a_reader")
@each_notebook
def test_notebook_runs_from_top_to_bottom(path):
    module = ModuleType("__main__")
    for i, code in enumerate(cells_of(path, "code"), start=1):
        exec(compile(code, f"{path.name}, code cell {i}", "exec"), vars(module))
        figures = [plt.figure(number) for number in plt.get_fignums()]
        for figure in figures:  # which a notebook draws after each cell
            figure.canvas.draw()
        plt.close("all")


@each_notebook
def test_notebook_is_stored_without_what_running_adds(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["execution_count"], cell["outputs"]) == (None, [])


@each_notebook
def test_notebook_asks_shows_and_ends_with_exercises(path):
    first, *_, last = cells_of(path, "markdown")
    assert first.startswith(f"# {path.stem[0]}. ")
    assert "**Question.**" in first
    assert re.search(r"^## Exercises\n\n1\. ", last, re.MULTILINE)
    assert max(len(code.splitlines()) for code in cells_of(path, "code")) <= 40


@each_notebook
def test_notebook_needs_no_download(path):
    assert not re.search(r"\bfetch_\w+|https?://", path.read_text(encoding="utf-8"))
