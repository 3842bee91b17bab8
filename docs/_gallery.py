"""Pages, cards and notebooks of the examples, made when the documentation is built."""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

# What a notebook has in the place of what only a script knows.
IN_NOTEBOOKS = {
    r"Path\(__file__\)(\.resolve\(\))?\.with_name\(\"figures\"\)": 'Path("figures")',
    r"Path\(__file__\)\.resolve\(\)\.parents\[1\]": "Path()",
    r"Path\(__file__\)\.stem": '"{name}"',
    r"main\(\*map\(float, sys\.argv\[1:\]\)\)": "main()",
}
PAGE = """\
# {title}

{prose}

![The figure that this example draws]({figure})

## Output

```text
{output}
```

## Code

Download {{download}}`the script <{script}>` or {{download}}`a notebook <{name}.ipynb>`.

```{{literalinclude}} {script}
:start-at: from __future__
```
"""
CARD = """\
:::{{grid-item-card}} {title}
:img-top: {thumbnail}
:img-alt: ""
:link: {page}
:link-type: doc

{text}
:::
"""


class Example(NamedTuple):
    """A script: its name, its title, what it tells of itself, and its code."""

    name: str
    title: str
    prose: str
    code: str


def read_example(script: Path) -> Example:
    """Take a script apart."""
    source = script.read_text(encoding="utf-8")
    tree = ast.parse(source)
    title, _, prose = (ast.get_docstring(tree) or "").partition("\n\n")
    end = tree.body[0].end_lineno or 0
    code = "\n".join(source.splitlines()[end:]).strip("\n") + "\n"
    return Example(script.stem, title.rstrip("."), prose, code)


def write_pages(docs: Path) -> None:
    """Write a page and a notebook for each example, and the cards of the index."""
    target = docs / "generated" / "examples"
    target.mkdir(parents=True, exist_ok=True)
    examples = {}
    for script in sorted(docs.parent.glob("examples/*.py")):
        example = examples[script.stem] = read_example(script)
        output = (docs / "gallery" / "output" / f"{script.stem}.txt").read_text(
            encoding="utf-8"
        )
        page = PAGE.format(
            title=example.title,
            prose=example.prose,
            figure=f"../../gallery/figures/{script.stem}.png",
            output=output.rstrip("\n"),
            script=os.path.relpath(script, target),
            name=script.stem,
        )
        (target / f"{script.stem}.md").write_text(page, encoding="utf-8")
        notebook = json.dumps(as_notebook(example), indent=1, ensure_ascii=False)
        (target / f"{script.stem}.ipynb").write_text(notebook + "\n", encoding="utf-8")
    index = (docs.parent / "examples" / "README.md").read_text(encoding="utf-8")
    # Not a page of its own, so not named as one.
    cards = as_cards(index, examples)
    (docs / "generated" / "cards.txt").write_text(cards, encoding="utf-8")


def as_cards(index: str, examples: dict[str, Example]) -> str:
    """Turn the tables of the index into grids of cards, below the same headings."""
    parts = []
    for section in re.split(r"^(?=## )", index, flags=re.MULTILINE):
        rows = re.findall(
            r"^\| !\[.*?\]\(.*?\) \| \[`(\w+)\.py`\]\(\w+\.py\) \| (.*) \|$",
            section,
            re.MULTILINE,
        )
        if not rows:
            continue
        if section.startswith("## "):
            parts.append(section.splitlines()[0] + "\n")
        cards = [
            CARD.format(
                title=examples[name].title,
                thumbnail=f"gallery/thumbnails/{name}.png",
                page=f"generated/examples/{name}",
                text=text[0].upper() + text[1:],
            )
            for name, text in rows
        ]
        parts.append("::::{grid} 1 2 3 3\n:gutter: 3\n\n" + "\n".join(cards) + "::::\n")
    return "\n".join(parts)


def as_notebook(example: Example) -> dict[str, Any]:
    """Make a notebook of a script: its prose, its code in pieces, and its figure."""
    code = example.code
    for pattern, replacement in IN_NOTEBOOKS.items():
        code = re.sub(pattern, replacement.format(name=example.name), code)
    head, _, call = code.partition('if __name__ == "__main__":\n')
    prose = f"# {example.title}\n\n{example.prose}\n"
    figure = (
        "from IPython.display import Image\n\nImage(filename=str(FIGURE), width=900)\n"
    )
    cells = [
        _cell("markdown", prose),
        *(_cell("code", piece) for piece in _pieces(head)),
        _cell("code", call.strip() + "\n"),
        _cell("code", figure),
    ]
    return {
        "cells": [
            {**cell, "id": f"{example.name}-{i}"[:64]} for i, cell in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _pieces(code: str) -> list[str]:
    """Divide code before each function and class, with the comments above it."""
    lines = code.splitlines(keepends=True)
    starts = [0]
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
            while first and lines[first - 1].startswith("#"):
                first -= 1
            starts.append(first)
    ends = [*starts[1:], len(lines)]
    pieces = [
        "".join(lines[start:end]).strip("\n") + "\n"
        for start, end in zip(starts, ends, strict=True)
    ]
    return [piece for piece in pieces if piece.strip()]


def _cell(kind: str, text: str) -> dict[str, Any]:
    source = text.rstrip("\n").splitlines(keepends=True)
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": source}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell
