"""Mutation testing: change the code and see whether the tests notice.

    .venv/bin/python .ci/mutants.py [MODULE ...]

`tests/reliability/mutants.toml` names modules and the tests that concern each. In a
copy of the repository, some places of every module are changed at random, one at a
time, and its tests are run: at least one should fail. Which places, and how, depends on
the seed and the module only. Mutants that nobody could tell from the original are
listed there, too, with the reason.
"""

from __future__ import annotations

import ast
import difflib
import multiprocessing
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

# Imported before the tests are started in a fork, which need not do it again.
import numba
import pytest
import sklearn.model_selection  # noqa: F401
from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code, use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

REPOSITORY = Path(__file__).parents[1]
SETTINGS = tomllib.loads((REPOSITORY / "tests/reliability/mutants.toml").read_text())
PACKAGE = Path("skperceptron")
LEAST_KILLED = 0.85
OUTPUT = "../output"  # of the tests
# Operations on bits are errors for floats, which any test finds, and whether small
# numbers are one object says nothing.
POINTLESS = re.compile("BinaryOperator.*_(.Shift|Bit.*)$|Comparison.*_Is(Not)?$")
REASONS = {
    (entry["module"], entry["was"], entry["becomes"]): entry["why"]
    for entry in SETTINGS["equivalent"]
}


class Mutant(NamedTuple):
    """What became of a mutant: the line before and after it, as far as it has one."""

    was: str
    becomes: str
    exit_code: int  # of the tests
    why: str | None

    @property
    def killed(self) -> bool:
        """Whether a test failed, or did not come to an end."""
        return self.exit_code != 0

    def __str__(self) -> str:
        survived = "equivalent" if self.why else "SURVIVED"
        fates = {0: survived, -signal.SIGXCPU: "endless"}
        fate = fates.get(self.exit_code, "killed")
        return f"{fate:10} {self.was}  ->  {self.becomes}"


class Caches:
    """Compiled code that a mutant does not concern need not be compiled again.

    numba looks for what it has compiled in the file of a function itself, not in files
    from which that calls: what is compiled from these has to go.
    """

    def __init__(self, folder: Path) -> None:
        self.kept, self.scratch = folder / "kept", folder / "scratch"
        self.kept.mkdir()

    def prepare(self, module: Path | None) -> None:
        """Let the next tests compile what depends on a module, and nothing else."""
        if module is None:
            os.environ["NUMBA_CACHE_DIR"] = str(self.kept)
            return
        os.environ["NUMBA_CACHE_DIR"] = str(self.scratch)
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.copytree(self.kept, self.scratch, copy_function=os.link)
        if is_kernel(module):
            for name in dependents(module.stem):
                for path in self.scratch.glob(f"*/{name}.*"):
                    path.unlink()


def is_kernel(module: Path) -> bool:
    """Tell whether a module is compiled."""
    return module.parent.name == "kernels" or module.stem.endswith("_kernel")


def dependents(name: str) -> set[str]:
    """Find the kernels that import one, also through others, and itself."""
    found = {name}
    modules = filter(is_kernel, PACKAGE.rglob("_*.py"))
    texts = {path.stem: path.read_text() for path in modules}
    while True:
        importing = re.compile(rf"\.({'|'.join(found)}) import")
        more = {name for name, text in texts.items() if importing.search(text)} - found
        if not more:
            return found
        found |= more


def annotations(tree: ast.AST) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Find the places that are never evaluated."""
    nodes = [
        part
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if part is not None
    ]
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes]


def is_python(mutation: MutationSpec) -> bool:
    """Tell whether a mutant can be read at all."""
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    source = mutation.module_path.read_text()
    try:
        ast.parse(mutate_code(source, operator, mutation.occurrence))
    except SyntaxError:
        return False
    return True


def mutations_of(module: Path) -> list[list[MutationSpec]]:
    """List what can be changed: for each place, all that it can become."""
    spans = annotations(ast.parse(module.read_text()))
    places = defaultdict(list)
    with use_db(":memory:", WorkDB.Mode.create) as database:
        init([module], database, {})
        for item in database.work_items:
            (mutation,) = item.mutations
            start, end = tuple(mutation.start_pos), tuple(mutation.end_pos)
            is_evaluated = not any(low <= start and end <= high for low, high in spans)
            if is_evaluated and not POINTLESS.search(mutation.operator_name):
                places[start, end].append(mutation)
    return list(places.values())


def run_tests(name: str, patience: float = resource.RLIM_INFINITY) -> int:
    """Run the tests of a module in a process of their own; return its exit code."""
    process = multiprocessing.get_context("fork").Process(
        target=_run_tests, args=(shlex.split(SETTINGS["tests"][name]), int(patience))
    )
    process.start()
    process.join()
    return process.exitcode


def _run_tests(arguments: list[str], patience: int) -> None:
    # Seconds of computing, which do not depend on what else the machine does.
    resource.setrlimit(resource.RLIMIT_CPU, (patience, resource.RLIM_INFINITY))
    numba.core.config.reload_config()  # there is another cache
    output = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments]))


def test_mutant(mutation: MutationSpec, name: str, patience: float) -> Mutant:
    """Run the tests of a module with one mutation, and put the file back."""
    path = mutation.module_path
    times = path.stat()
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    with use_mutation(path, operator, mutation.occurrence) as (original, mutated):
        exit_code = run_tests(name, patience)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    before, after = original.splitlines(), mutated.splitlines()
    changed = list(difflib.unified_diff(before, after, n=0, lineterm=""))[3:]
    was, becomes = (
        " ".join(line[1:].strip() for line in changed if line[0] == sign)
        for sign in "-+"
    )
    why = REASONS.get((name, was, becomes))
    return Mutant(was, becomes, exit_code, why)


def test_module(name: str, caches: Caches) -> tuple[int, list[Mutant]]:
    """Test a module, first as it is; also count the places that could be changed."""
    module = PACKAGE / f"{name}.py"
    caches.prepare(None)
    begin = _time_of_tests()
    if run_tests(name) != 0:
        raise RuntimeError(f"Without any change:\n{Path(OUTPUT).read_text()}")
    patience = SETTINGS["patience"] + 5 * (_time_of_tests() - begin)
    places = mutations_of(module)
    rng = random.Random(f"{SETTINGS['seed']} {name}")
    mutants = []
    n_wanted = SETTINGS["per_kernel" if is_kernel(module) else "per_module"]
    for mutations in rng.sample(places, min(n_wanted, len(places))):
        mutation = rng.choice(mutations)
        if not is_python(mutation):
            continue
        caches.prepare(module)
        mutants.append(test_mutant(mutation, name, patience))
        print(f"{name}: {mutants[-1]}", flush=True)
    return len(places), mutants


def _time_of_tests() -> float:
    """Seconds that tests have computed so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def report(results: dict[str, tuple[int, list[Mutant]]]) -> bool:
    """Print a table; tell whether enough was killed, and all else is explained."""
    print("\n| module | places | mutants | killed | equivalent | unexplained |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = {
        name: [
            n_places,
            len(mutants),
            sum(m.killed for m in mutants),
            sum(not m.killed and m.why is not None for m in mutants),
            sum(not m.killed and m.why is None for m in mutants),
        ]
        for name, (n_places, mutants) in results.items()
    }
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for name, numbers in rows.items():
        print(f"| {name} | {' | '.join(map(str, numbers))} |")
    _, n_mutants, n_killed, _, n_unexplained = rows["all"]
    print(f"\n{n_killed / n_mutants:.1%} killed")
    return n_killed >= LEAST_KILLED * n_mutants and not n_unexplained


def copy_repository(target: Path) -> None:
    """Copy what git knows of, in its present state."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True
    )
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, target / name)


def main() -> int:
    """Test the modules that are named, or all."""
    names = sys.argv[1:] or list(SETTINGS["tests"])
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        copy_repository(clone)
        os.chdir(clone)
        sys.path.insert(0, str(clone))
        os.environ["PYTHONPATH"] = str(clone)  # for processes that tests start
        sys.dont_write_bytecode = True  # a change may be too fast to be noticed
        caches = Caches(Path(folder))
        results = {name: test_module(name, caches) for name in names}
        os.chdir(REPOSITORY)
    return 0 if report(results) else 1


if __name__ == "__main__":
    sys.exit(main())
