"""What the README and the guide show works as it stands there."""

import re
from pathlib import Path

import pytest

import skperceptron

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"


def blocks_of(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


BLOCKS = blocks_of(README)
PAGES = [README, *sorted((REPOSITORY / "docs").glob("*.md"))]


@pytest.fixture(autouse=True)
def _restore_config():
    yield
    skperceptron._config._process_wide.clear()


def test_there_is_code():
    assert len(BLOCKS) >= 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("name", "code"), [(page.name, code) for page in PAGES for code in blocks_of(page)]
)
def test_code_runs(name, code):
    exec(compile(code, name, "exec"), {})


def test_first_example_prints_what_the_text_promises(capsys):
    exec(compile(BLOCKS[0], README.name, "exec"), {})
    accuracy, run_id = re.fullmatch(
        r"accuracy (0\.\d\d), MLflow run ([0-9a-f]{32})\n", capsys.readouterr().out
    ).groups()
    assert float(accuracy) > 0.9
    assert run_id


@pytest.mark.parametrize("name", re.findall(r"\]\(([^):#]+)\)", README.read_text()))
def test_linked_files_exist(name):
    assert (README.parent / name).exists()
