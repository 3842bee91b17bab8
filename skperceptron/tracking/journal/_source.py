"""Tags that say by whom and from where a run is logged."""

from __future__ import annotations

import getpass
import sys

SOURCE_TAG = "mlflow.source.name"


def source_tags() -> dict[str, str]:
    """Return the tags of user and program."""
    return {
        SOURCE_TAG: sys.argv[0] or "python",
        "mlflow.source.type": "LOCAL",
        **_user_tag(),
    }


def _user_tag() -> dict[str, str]:
    try:
        return {"mlflow.user": getpass.getuser()}
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return {}
