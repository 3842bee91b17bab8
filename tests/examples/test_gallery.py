"""Every example is in the index, and does what the index promises of all of them."""

import ast
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
GALLERY = REPOSITORY / "docs" / "gallery"
THUMBNAILS = GALLERY / "thumbnails"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
INDEX = (EXAMPLES / "README.md").read_text()

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def gallery():
    """What makes the pages of the documentation."""
    path = REPOSITORY / "docs" / "_gallery.py"
    spec = importlib.util.spec_from_file_location("gallery", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_index_names_each_script_once():
    named = re.findall(r"\]\((\w+\.py)\)", INDEX)
    assert sorted(named) == [script.name for script in SCRIPTS]


@each_script
def test_script_opens_with_what_it_shows(script):
    title, *details = ast.get_docstring(ast.parse(script.read_text())).split("\n\n")
    assert title.endswith(".")
    assert len(title) <= 45
    assert details


@each_script
def test_index_shows_a_small_copy_of_the_figure(script):
    (row,) = [line for line in INDEX.splitlines() if f"]({script.name})" in line]
    thumbnail = THUMBNAILS / f"{script.stem}.png"
    assert f"](../docs/gallery/thumbnails/{thumbnail.name})" in row
    assert thumbnail.stat().st_size < 60_000
    with Image.open(thumbnail) as image:
        assert image.width == 400


@pytest.mark.parametrize("folder", ["figures", "output", "thumbnails"])
def test_gallery_has_one_file_for_each_script(folder):
    names = [path.stem for path in sorted((GALLERY / folder).iterdir())]
    assert names == [script.stem for script in SCRIPTS]


@each_script
def test_figure_and_output_are_kept_without_what_is_of_one_machine(script):
    output = (GALLERY / "output" / f"{script.stem}.txt").read_text()
    assert re.search(r"\d\.\d{3}", output)
    assert not re.search(r"sqlite:|/tmp/|/home/|Figure: |Runs: ", output)
    figure = GALLERY / "figures" / f"{script.stem}.png"
    assert figure.stat().st_size < 300_000
    with Image.open(figure) as image:
        assert 800 <= image.width <= 1100


@each_script
def test_notebook_has_all_code_of_the_script(script, gallery):
    example = gallery.read_example(script)
    notebook = json.loads(json.dumps(gallery.as_notebook(example)))
    first, *others = notebook["cells"]
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).startswith(f"# {example.title}\n")
    assert {cell["cell_type"] for cell in others} == {"code"}
    code = "\n".join("".join(cell["source"]) for cell in others)
    assert "__file__" not in code
    assert "sys.argv" not in code
    names = _functions_of(script.read_text())
    assert _functions_of(code) == names
    assert "\nmain()\n" in code
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


def _functions_of(code):
    tree = ast.parse(code)
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_notebook_runs_from_top_to_bottom(gallery, tmp_path):
    example = gallery.read_example(EXAMPLES / "early_stopping.py")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    env["SKPERCEPTRON_JOURNAL"] = str(tmp_path / "journal")
    manager, client = start_new_kernel(cwd=str(tmp_path), env=env)
    try:
        for cell in gallery.as_notebook(example)["cells"]:
            if cell["cell_type"] == "code":
                reply = client.execute_interactive(
                    "".join(cell["source"]), timeout=600, output_hook=lambda _: None
                )
                assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert (tmp_path / "figures" / "early_stopping.png").is_file()


def test_cards_show_each_example_below_the_headings_of_the_index(gallery):
    examples = {script.stem: gallery.read_example(script) for script in SCRIPTS}
    cards = gallery.as_cards(INDEX, examples)
    linked = re.findall(r":link: generated/examples/(\w+)$", cards, re.MULTILINE)
    assert sorted(linked) == [script.stem for script in SCRIPTS]
    headings = re.findall(r"^## .*", INDEX, re.MULTILINE)
    assert re.findall(r"^## .*", cards, re.MULTILINE) == headings


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
