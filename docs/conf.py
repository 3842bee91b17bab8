"""How Sphinx builds the documentation."""

import os
import re
import sys
from pathlib import Path

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

import skperceptron

sys.path.insert(0, str(Path(__file__).parent))
from _gallery import write_pages

project = "skperceptron"
author = "The skperceptron developers"
version = release = skperceptron.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "README.md", "decisions"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = []

autodoc_typehints = "none"  # the docstrings state the types
numpydoc_class_members_toctree = False
# The pages of the classes list their methods themselves.
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "skperceptron"
html_static_path = ["_static"]
html_logo = html_favicon = "_static/logo.svg"
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "logo": {"text": "skperceptron"},
}
html_math_renderer = "mathml"


# Files outside that pages of the documentation include, or stand for.
PAGES_OF_FILES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "performance.md",
    "docs/README.md": "contributing.md",
    "examples/README.md": "examples.md",
}
LINK = re.compile(r"(?<=\]\()(?!https?:|#)(?P<path>[^)#\s]+)")


def setup(app):
    """Connect what Sphinx lacks."""
    app.connect("builder-inited", _write_example_pages)
    app.connect("include-read", _redirect_links)
    # MathML is read offline, without a script.
    app.add_html_math_renderer(
        "mathml", (_write_inline_equation, None), (_write_equation, None)
    )


def _write_example_pages(app):
    """Make a page of prose, figure, output, code and notebook of each example."""
    write_pages(Path(app.srcdir))


def _redirect_links(app, path, docname, content):
    """Let relative links of an included file lead where they led from there."""
    here = Path(app.srcdir)
    content[0] = LINK.sub(
        lambda match: _target_of((here / path.parent / match["path"]).resolve(), here),
        content[0],
    )


def _target_of(file, here):
    if file.parent == here.parent / "examples" and file.suffix == ".py":
        return f"generated/examples/{file.stem}.md"
    if page := PAGES_OF_FILES.get(file.relative_to(here.parent).as_posix()):
        return page
    is_image = file.suffix in (".png", ".svg")
    return f"{'' if is_image else 'path:'}{os.path.relpath(file, here)}"


def _write_inline_equation(writer, node):
    writer.body.append(tex2mathml(node.astext()))
    raise SkipNode


def _write_equation(writer, node):
    equation = tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="equation">{equation}</div>\n')
    raise SkipNode
