"""What the repository says of itself, beside the code, is true."""

import ast
import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

import skperceptron

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
LOOP = ("network", "optim", "classifiers")
# How what an extra installs is imported, where that has another name.
MODULES = {"psycopg[binary]": "psycopg", "types-PyYAML": "yaml"}


def jobs_of(workflow):
    return yaml.safe_load(workflow.read_text())["jobs"]


def commands_of(workflow):
    return [
        step["run"]
        for job in jobs_of(workflow).values()
        for step in job["steps"]
        if "run" in step
    ]


def matrix_of(workflow):
    (strategy,) = [
        job["strategy"] for job in jobs_of(workflow).values() if "strategy" in job
    ]
    rows = strategy["matrix"]["include"]
    return [(row["python"], row["dependencies"]) for row in rows]


def name_of(requirement):
    return re.match(r"[\w-]+(\[[\w-]+\])?", requirement)[0]


# Workflows


def test_workflows_are_those_of_pushes_and_of_weeks():
    assert [path.stem for path in WORKFLOWS] == ["tests", "weekly"]
    triggers = [yaml.safe_load(path.read_text())[True] for path in WORKFLOWS]  # "on"
    assert {"push", "pull_request"} <= set(triggers[0])
    assert triggers[1]["schedule"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_nothing_but_scripts_that_exist(workflow):
    for command in commands_of(workflow):
        script = REPOSITORY / shlex.split(command)[0]
        assert script.parent.name == ".ci"
        assert os.access(script, os.X_OK)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_only_read_the_repository(workflow):
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}


def test_every_script_is_run_by_pushes():
    run = {shlex.split(command)[0] for command in commands_of(WORKFLOWS[0])}
    assert run == {".ci/run", ".ci/versions", ".ci/release"}


def test_matrix_has_the_pythons_that_the_package_names():
    named = {
        classifier.rpartition(" :: ")[2]
        for classifier in PROJECT["classifiers"]
        if re.search(r":: 3\.\d+$", classifier)
    }
    matrix = matrix_of(WORKFLOWS[0])
    assert {python for python, _ in matrix} == named
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert (oldest, "lowest") in matrix


def test_dependencies_of_each_matrix_are_known_to_the_script():
    usage = (REPOSITORY / ".ci" / "versions").read_text()
    (known,) = re.findall(r"PYTHON (\S+) \[PYTEST", usage)
    weekly = {dependencies for _, dependencies in matrix_of(WORKFLOWS[1])}
    assert "prereleases" in weekly
    assert weekly | {d for _, d in matrix_of(WORKFLOWS[0])} == set(known.split("|"))


# Files that other programs read


def test_hooks_before_a_commit_are_ruffs_alone():
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [hook["id"] for hook in hooks] == ["ruff-check", "ruff-format"]
    (ruff,) = [r for r in EXTRAS["test"] if name_of(r) == "ruff"]
    assert all(hook["additional_dependencies"] == [ruff] for hook in hooks)


def test_citation_names_this_version_and_license():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["title"] == PROJECT["name"]
    assert citation["version"] == skperceptron.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]


# The short loop of a first contribution


def third_party_modules_of(folder, seen):
    """Find what the tests of a folder import, also through helpers of the tests."""
    found = set()
    for path in sorted((REPOSITORY / "tests" / folder).rglob("*.py")):
        found |= _modules_of(path, seen)
    return found


def _modules_of(path, seen):
    if path in seen:
        return set()
    seen.add(path)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        for name in names:
            helper = REPOSITORY / f"{name.replace('.', '/')}.py"
            if name.startswith("tests.") and helper.is_file():
                found |= _modules_of(helper, seen)
            found.add(name.partition(".")[0])
    return found


def test_short_loop_needs_nothing_but_its_extra():
    seen = set()
    imported = set().union(
        *(third_party_modules_of(folder, seen) for folder in LOOP),
        _modules_of(REPOSITORY / "tests" / "conftest.py", seen),
    )
    short = {name_of(requirement) for requirement in EXTRAS["test"]}
    rest = {name_of(requirement) for requirement in EXTRAS["test-all"]} - short
    rest -= {"skperceptron[test]"}
    assert {"distributed", "psycopg[binary]", "playwright"} <= rest
    assert not imported & {MODULES.get(name, name) for name in rest}
    assert {"pytest", "hypothesis"} <= imported & short


def test_short_loop_is_documented():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    (command,) = re.findall(r"-m pytest .*", text.partition("## All tests")[0])
    assert command.split()[-3:] == [f"tests/{folder}" for folder in LOOP]


def test_all_tests_have_all_that_the_short_loop_has():
    assert "skperceptron[test]" in EXTRAS["test-all"]
    command = (REPOSITORY / "README.md").read_text().partition("<!-- tests -->")[2]
    assert '-e ".[test-all]"' in command.partition("## ")[0]
