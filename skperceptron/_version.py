"""The version of the package, and where its documentation is."""

__version__ = "0.1.0"

# The address of the pages that Sphinx builds, to which the pictures of estimators link,
# without a slash at the end. None as long as they are not published.
DOCUMENTATION_URL: str | None = None
