"""What is imported when, and who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "skperceptron"
HEAVY = ("mlflow", "optuna", "matplotlib")


def modules_after(*steps):
    """The modules that a process has imported after each of its steps."""
    script = "import sys\n" + "".join(
        f"{code}\nprint(*sys.modules)\n" for code in steps
    )
    out = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return [set(line.split()) for line in out.stdout.splitlines()]


def test_package_imports_nothing_heavy_and_a_tracked_fit_mlflow():
    untracked = (
        "from sklearn.datasets import load_iris\n"
        "from sklearn.model_selection import cross_val_score\n"
        "clf = skperceptron.HillClimbPerceptron(max_iter=5)\n"
        "with skperceptron.config_context(tracking=False):\n"
        "    cross_val_score(clf, *load_iris(return_X_y=True))\n"
    )
    tracked = "clf.fit(*load_iris(return_X_y=True))\n"
    first, second, last = modules_after("import skperceptron", untracked, tracked)
    assert not first & set(HEAVY)
    assert "mlflow" not in second
    assert "mlflow" in last


def imported_by(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("network", ["sklearn", *HEAVY, "skperceptron.optim"]),
        ("optim", ["sklearn", *HEAVY]),
        ("classifiers", HEAVY),
        ("tracking", ["skperceptron.classifiers", "skperceptron.network"]),
        ("plotting", ["skperceptron.tracking", "skperceptron.classifiers", "mlflow"]),
        ("tuning", ["skperceptron.tracking", "skperceptron.plotting", "mlflow"]),
    ],
)
def test_imports_go_down_only(folder, forbidden):
    for name in imported_by(folder):
        assert not name.startswith(tuple(forbidden)), f"{folder} imports {name}"
    if folder in ("network", "optim"):
        other = [n for n in imported_by(folder) if n.startswith("skperceptron.")]
        assert not [n for n in other if n.split(".")[1] not in ("network", "optim")]
