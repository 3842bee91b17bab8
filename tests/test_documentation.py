"""What the README and the documentation show works as it stands there."""

import re
import shlex
import sys
import tomllib
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import click
import matplotlib
import matplotlib.pyplot as plt
import mlflow
import optuna
import pytest

import skperceptron
from skperceptron.tracking import __main__ as tracking_command

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
# The last of them are parts of the documentation, too.
ALL_PAGES = [
    README,
    *sorted((REPOSITORY / "docs").glob("*.md")),
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "SECURITY.md",
    REPOSITORY / "benchmarks" / "README.md",
    REPOSITORY / "examples" / "README.md",
]
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]
FENCE = re.compile(
    r"^(?P<fence>```+)(?P<language>.*)\n(?P<code>(?:.*\n)*?)(?P=fence)$", re.MULTILINE
)
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#\s]+)")


class Block(NamedTuple):
    """A fenced block of a page.

    Attributes
    ----------
    language : str
        What stands behind the fence.

    code : str
        What is in it.

    line : int
        Lines of the page before that.
    """

    language: str
    code: str
    line: int


def name_of(page):
    return str(page.relative_to(REPOSITORY))


def blocks_of(page):
    text = page.read_text()
    return [
        Block(m["language"], m["code"], text.count("\n", 0, m.start("code")))
        for m in FENCE.finditer(text)
    ]


def python_of(page):
    return [block for block in blocks_of(page) if block.language == "python"]


def commands_of(page):
    """List the commands of a page, those of one line one by one."""
    return [
        shlex.split(command)
        for block in blocks_of(page)
        if block.language == "bash"
        for line in block.code.splitlines()
        for command in line.split("&&")
    ]


def run(page, blocks):
    """Run blocks in one namespace, as a reader does who copies one after the other."""
    module = ModuleType("__main__")
    for block in blocks:
        # Errors then name the line of the page.
        code = "\n" * block.line + block.code
        exec(compile(code, str(page), "exec"), vars(module))


@pytest.fixture(scope="module", autouse=True)
def _prepare():
    matplotlib.use("Agg")  # no windows
    # Making the store takes longer than anything that a page does.
    mlflow.search_experiments(max_results=1)


@pytest.fixture(autouse=True)
def _as_for_a_reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mlflow.set_experiment("Default")  # whichever other tests have left active
    yield
    skperceptron._config._process_wide.clear()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    plt.close("all")


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_blocks_are_of_kinds_that_are_tested(page):
    kinds = {block.language for block in blocks_of(page)}
    directives = {kind for kind in kinds if kind.startswith("{")}
    assert kinds - directives <= {"python", "bash", "text", ""}


@pytest.mark.parametrize(
    "page", [page for page in ALL_PAGES[1:] if python_of(page)], ids=name_of
)
def test_python_of_the_page_runs(page):
    run(page, python_of(page))


def test_python_of_the_readme_prints_what_the_text_promises(capsys):
    run(README, python_of(README))
    accuracy, run_id = re.fullmatch(
        r"accuracy (0\.\d\d), MLflow run ([0-9a-f]{32})\n", capsys.readouterr().out
    ).groups()
    assert float(accuracy) > 0.9
    assert run_id


# Commands


def check_python(words, monkeypatch):
    if words[0] != "-m":
        assert (REPOSITORY / words[0]).is_file()
        return
    module, arguments = words[1], words[2:]
    if module == "benchmarks":  # which is not installed
        assert (REPOSITORY / module / f"{arguments[0]}.py").is_file()
        return
    assert find_spec(module) is not None
    if module == "pip":
        for extra in re.findall(r"\.\[([\w-]+)\]", " ".join(arguments)):
            assert extra in EXTRAS
    elif module == "skperceptron.tracking":
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        assert tracking_command.main() == 0


def check_mlflow(words, monkeypatch):
    with warnings.catch_warnings():
        # Of MLflow's own types, while it is imported.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType")
        from mlflow.cli import cli
    command = cli
    while words and not words[0].startswith("-"):
        command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def check_extra(package):
    """Check that a program is installed by one of the extras."""
    requirements = [requirement for extra in EXTRAS.values() for requirement in extra]
    assert any(re.match(rf"{package}\b", requirement) for requirement in requirements)


CHECKS = {
    "python": check_python,
    "python3": check_python,
    "mlflow": check_mlflow,
    "sphinx-build": lambda *_: check_extra("sphinx"),
    "ruff": lambda *_: check_extra("ruff"),
    "mypy": lambda *_: check_extra("mypy"),
}


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_commands_and_their_options_exist(page, monkeypatch):
    for program, *words in commands_of(page):
        CHECKS[Path(program).name](words, monkeypatch)


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_linked_files_and_images_exist(page):
    for match in LINK.finditer(page.read_text()):
        assert (page.parent / match["path"]).exists(), match["path"]
