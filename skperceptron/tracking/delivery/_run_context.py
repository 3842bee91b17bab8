"""Tags that MLflow itself gives to runs that this process starts."""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from skperceptron.tracking.delivery._mlflow_import import import_mlflow
from skperceptron.tracking.journal._source import source_tags


def with_context(tags: dict[str, str]) -> dict[str, str]:
    """Add to the tags of a run those that MLflow gives to runs of this process.

    They name the git commit of the program and its notebook or job, and include those
    of ``MLFLOW_RUN_CONTEXT``. Tags that the user has set are kept.
    """
    plain = source_tags()
    context = _context(os.environ.get("MLFLOW_RUN_CONTEXT"), sys.argv[0])
    return tags | {
        name: value
        for name, value in context.items()
        if tags.get(name) in (None, plain.get(name))
    }


# Cached because MLflow reads files and calls git for it.
@lru_cache(maxsize=1)
def _context(environment: str | None, main_file: str) -> dict[str, str]:
    import_mlflow()
    from mlflow.tracking.context.registry import resolve_tags

    return {str(k): str(v) for k, v in resolve_tags().items() if k != "mlflow.user"}
