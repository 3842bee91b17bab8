"""The MLflow UI on the store of the quickstart, in a browser."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks._servers import mlflow_server

# Pictures for the documentation are written to this folder, if it is set.
PICTURES = "SKPERCEPTRON_SCREENSHOTS"
MAX_PICTURE_BYTES = 200_000
# Of one action or expectation, in milliseconds.
PATIENCE = 60_000
# What MLflow's pages remember of a person who trains models and has closed the panel
# of the assistant, which opens by itself once.
REMEMBERED = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
}


@dataclass(frozen=True)
class Store:
    """The database, opened directly."""

    file: Path

    def query(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as db:
            return db.execute(sql, values).fetchall()

    def tunings(self) -> dict[str, str]:
        """Run IDs of what nothing is above, by name, the newest first."""
        return dict(
            self.query(
                "SELECT name, run_uuid FROM runs WHERE run_uuid NOT IN "
                "(SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId') "
                "ORDER BY start_time DESC"
            )
        )

    def below(self, run_id: str) -> dict[str, str]:
        """Run IDs of the children, by name, the newest first."""
        return dict(
            self.query(
                "SELECT runs.name, runs.run_uuid FROM runs JOIN tags USING (run_uuid) "
                "WHERE tags.key = 'mlflow.parentRunId' AND tags.value = ? "
                "ORDER BY start_time DESC",
                run_id,
            )
        )

    def artifact(self, run_id: str, name: str) -> Path:
        return self.file.parent / "artifacts" / run_id / "artifacts" / name

    def params(self, run_id: str) -> dict[str, str]:
        return dict(
            self.query("SELECT key, value FROM params WHERE run_uuid = ?", run_id)
        )

    def metrics(self, run_id: str) -> dict[str, float]:
        """Latest values."""
        return dict(
            self.query(
                "SELECT key, value FROM latest_metrics WHERE run_uuid = ?", run_id
            )
        )

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        return self.query(
            "SELECT step, value FROM metrics WHERE run_uuid = ? AND key = ? "
            "ORDER BY step",
            run_id,
            metric,
        )


@pytest.fixture(scope="module")
def store(quickstart):
    return Store(quickstart.store)


@pytest.fixture(scope="module")
def server(quickstart, tmp_path_factory):
    """What `mlflow ui` starts, as the last lines of the quickstart tell to."""
    folder = tmp_path_factory.mktemp("ui")
    with mlflow_server(f"sqlite:///{quickstart.store}", folder) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
                # The pages must do without anything from elsewhere.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, server):
    """A page of a browser that has not seen the UI before."""
    context = browser.new_context(
        base_url=server,
        viewport={"width": 1400, "height": 900},
        device_scale_factor=1,
        locale="en-US",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    for key, value in REMEMBERED.items():
        context.add_init_script(f"localStorage.setItem({key!r}, {value!r})")
    yield context.new_page()
    context.close()


@pytest.fixture
def take_picture(page, tmp_path):
    """Call it to keep what is to be seen just now."""
    folder = Path(os.environ.get(PICTURES, tmp_path))

    def take(name: str, hide: Any = None) -> None:
        if hide is not None:  # because it is of this machine
            hide.evaluate("element => element.style.visibility = 'hidden'")
        page.mouse.move(0, 0)
        picture = _when_nothing_moves(page)
        if len(picture) > MAX_PICTURE_BYTES:
            picture = _with_fewer_colours(picture)
        (folder / f"mlflow-{name}.png").write_bytes(picture)

    return take


def _when_nothing_moves(page: Any) -> bytes:
    previous, picture = b"", page.screenshot(animations="disabled")
    for _ in range(20):
        if picture == previous:
            break
        previous, picture = picture, page.screenshot(animations="disabled")
    return picture


def _with_fewer_colours(picture: bytes) -> bytes:
    smaller = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize().save(smaller, format="png", optimize=True)
    return smaller.getvalue()
