"""What the README shows works as it stands there."""

import re
from pathlib import Path

import pytest

import skperceptron

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.fixture(autouse=True)
def _restore_config():
    yield
    skperceptron._config._process_wide.clear()


def test_there_is_code():
    assert len(BLOCKS) >= 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("code", BLOCKS)
def test_code_runs(code):
    exec(compile(code, README.name, "exec"), {})


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
