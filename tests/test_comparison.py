"""The page that compares packages names commands that show what it says."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "comparison.md").read_text()
SCRIPT = REPOSITORY / "benchmarks" / "comparison.py"
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| \w", line)]


def claims_of(row):
    return re.findall(r"`(\w+)`", row.rstrip(" |").rpartition("|")[2])


def functions():
    tree = ast.parse(SCRIPT.read_text())
    (claims,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "CLAIMS"
    ]
    return {name.id for name in ast.walk(claims) if isinstance(name, ast.Name)}


def run(claim, folder):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    env["SKPERCEPTRON_JOURNAL"] = str(folder / "journal")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, claim],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_row_has_a_command_that_shows_it(row):
    named = claims_of(row)
    assert named
    assert set(named) <= functions()


def test_every_command_belongs_to_a_row():
    named = {claim for row in ROWS for claim in claims_of(row)}
    assert functions() - named <= {"claim", "__name__", "CLAIMS"}


def test_what_others_do_better_comes_first():
    headings = re.findall(r"^## (.*)", PAGE, re.MULTILINE)
    assert headings[:2] == ["What others do better", "What this package does better"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "printed"),
    [
        ("metric", "test F2 0.943"),
        ("thresholds", "test accuracy 0.944"),
        ("search_runs", "30 runs, 29 of them below"),
        ("search_runs_autolog", "6 runs, 5 of them below"),
        ("study_runs", "13 runs, 12 of them below"),
        ("any_estimator", "skperceptron: 0 runs"),
    ],
)
def test_command_prints_what_the_page_says(claim, printed, tmp_path):
    assert printed in run(claim, tmp_path)
