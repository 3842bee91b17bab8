"""Run examples, and keep what their pages of the gallery show of them.

    .venv/bin/python docs/gallery/update.py [NAME ...]

Without names, all examples are run, which takes a quarter of an hour. `figures/` gets
the figure of each, `output/` what it prints, and `thumbnails/` a part of the figure
that can be read when it is small.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
WIDTH = 1100
THUMBNAIL = (400, 300)
N_COLORS = 256  # one byte per pixel keeps the files small
# What a thumbnail shows: left, top, right and bottom as shares of the figure.
PARTS = {
    "activations_and_gradients": (0, 0, 0.445, 0.495),
    "breast_cancer_grid": (0.508, 0, 1, 1),
    "decision_boundaries": (0.5, 0, 1, 0.912),
    "digits_learning_rate_grid": (0, 0.04, 0.447, 0.515),
    "early_stopping": (0, 0, 0.335, 0.91),
    "hard_threshold_network": (0, 0.5, 0.495, 1),
    "hill_climbing_textbook": (0, 0, 0.338, 0.85),
    "larger_than_memory": (0.502, 0, 1, 1),
    "mixed_data_pipeline": (0.515, 0, 1, 1),
    "optimize_any_metric": (0.697, 0, 1, 1),
    "optuna_pruning": (0, 0, 0.5, 0.9),
    "quickstart": (0, 0, 0.58, 0.9),
    "rare_class": (0.66, 0, 1, 1),
    "read_runs_back": (0.503, 0, 1, 1),
    "regression": (0, 0, 0.5, 1),
}
# Lines about this machine, and progress bars.
NOT_SHOWN = re.compile(r"(Runs|Figure): |GridSearchCV - |─{5,}")


def run(script: Path) -> str:
    """Run an example in an empty folder; return what it prints."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    with tempfile.TemporaryDirectory() as folder:
        env["SKPERCEPTRON_JOURNAL"] = f"{folder}/journal"
        done = subprocess.run(
            [sys.executable, script],
            cwd=folder,
            env=env,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return done.stdout


def shown_of(output: str) -> str:
    """Leave out what is true on one machine only."""
    output = output.partition("\nTo look at the runs")[0]
    lines = [line.rstrip() for line in output.splitlines()]
    shown = "\n".join(line for line in lines if not NOT_SHOWN.match(line.strip()))
    return re.sub(r"\n{3,}", "\n\n", shown).strip("\n") + "\n"


def keep_pictures(name: str) -> None:
    """Write the figure and its thumbnail."""
    with Image.open(EXAMPLES / "figures" / f"{name}.png") as image:
        figure = image.convert("RGB")
    if figure.width > WIDTH:
        figure = ImageOps.contain(figure, (WIDTH, figure.height))
    _save(figure, HERE / "figures" / f"{name}.png")
    shares = PARTS.get(name, (0, 0, 1, 1))
    size = figure.size * 2
    box = [round(share * length) for share, length in zip(shares, size, strict=True)]
    thumbnail = ImageOps.pad(figure.crop(box), THUMBNAIL, color="white")
    _save(thumbnail, HERE / "thumbnails" / f"{name}.png")


def _save(image: Image.Image, path: Path) -> None:
    image.quantize(N_COLORS).save(path, optimize=True)


def main() -> None:
    """Run the examples that are named, or all."""
    names = sys.argv[1:] or sorted(path.stem for path in EXAMPLES.glob("*.py"))
    for name in names:
        print(name, flush=True)
        shown = shown_of(run(EXAMPLES / f"{name}.py"))
        (HERE / "output" / f"{name}.txt").write_text(shown, encoding="utf-8")
        keep_pictures(name)


if __name__ == "__main__":
    main()
