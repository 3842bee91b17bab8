"""How Sphinx builds the documentation."""

import skperceptron

project = "skperceptron"
author = "The skperceptron developers"
version = release = skperceptron.__version__

extensions = [
    "sphinx.ext.autodoc",
    "myst_parser",
    "numpydoc",
]
html_theme = "pydata_sphinx_theme"
exclude_patterns = ["_build", "README.md"]

autodoc_typehints = "none"  # the docstrings state the types
numpydoc_class_members_toctree = False
# The methods that scikit-learn's mixins add are documented there.
numpydoc_show_class_members = False
