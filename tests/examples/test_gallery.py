"""Every example is in the index, and does what the index promises of all of them."""

import ast
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
THUMBNAILS = REPOSITORY / "docs" / "images" / "gallery"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
INDEX = (EXAMPLES / "README.md").read_text()

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def test_index_names_each_script_once():
    named = re.findall(r"\]\((\w+\.py)\)", INDEX)
    assert sorted(named) == [script.name for script in SCRIPTS]


@each_script
def test_script_opens_with_what_it_shows(script):
    summary, *details = ast.get_docstring(ast.parse(script.read_text())).split("\n\n")
    assert summary.endswith(".")
    assert details


@each_script
def test_index_shows_a_small_copy_of_the_figure(script):
    (row,) = [line for line in INDEX.splitlines() if f"]({script.name})" in line]
    thumbnail = THUMBNAILS / f"{script.stem}.png"
    assert f"](../docs/images/gallery/{thumbnail.name})" in row
    assert thumbnail.stat().st_size < 60_000
    with Image.open(thumbnail) as image:
        assert image.width == 400


def test_there_is_no_thumbnail_without_a_script():
    names = {thumbnail.stem for thumbnail in THUMBNAILS.glob("*.png")}
    assert names == {script.stem for script in SCRIPTS}


@each_script
def test_script_needs_no_download(script):
    assert not re.search(r"\bfetch_\w+|https?://(?!127\.0\.0\.1)", script.read_text())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@each_script
def test_script_runs_from_a_fresh_clone(script, tmp_path):
    (tmp_path / "examples").mkdir()
    (tmp_path / "mlruns").mkdir()
    shutil.copy(script, tmp_path / "examples")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    env["SKPERCEPTRON_JOURNAL"] = str(tmp_path / "journal")
    done = subprocess.run(
        [sys.executable, f"examples/{script.name}"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr

    figure = tmp_path / "examples" / "figures" / f"{script.stem}.png"
    before, after = done.stdout.split(f"Figure: {figure}")
    assert re.search(r"\d\.\d{3}", before)
    with Image.open(figure) as image:
        assert image.width > 800

    store = tmp_path / ("mlruns" if script.stem == "quickstart" else "") / "mlflow.db"
    assert f"ui --backend-store-uri sqlite:///{store}\n" in after
    with closing(sqlite3.connect(store)) as db:
        runs = db.execute(
            "SELECT experiments.name, status FROM runs"
            " JOIN experiments USING (experiment_id)"
        ).fetchall()
    assert len(runs) > 1
    assert {re.match(r"\w+", name)[0] for name, _ in runs} == {script.stem}
    assert {status for _, status in runs} <= {"FINISHED", "FAILED", "KILLED"}
