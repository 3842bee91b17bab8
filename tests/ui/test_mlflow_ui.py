"""What a person sees of the quickstart's runs in the MLflow UI."""

from __future__ import annotations

import getpass
import json
import re
import shutil
from urllib.parse import quote

import pytest
from PIL import Image

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="Playwright, which drives the browser, is missing"
)
expect = sync_api.expect

pytestmark = [
    pytest.mark.skipif(
        shutil.which("chromium") is None, reason="there is no browser called chromium"
    ),
    # The quickstart takes half a minute, and much longer on a busy machine.
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

CLASSIFIERS = ("BackpropMLP", "HillClimbMLP", "HillClimbPerceptron")
NEWEST_FIRST = [
    f"{c} on {data}" for data in ("digits", "breast cancer") for c in CLASSIFIERS
]
SEARCH = "HillClimbMLP on digits"
CANDIDATES = ["logistic, (15,)", "logistic, (30,)", "relu, (15,)", "relu, (30,)"]
SEARCHED = ["hillclimbmlp__activation", "hillclimbmlp__hidden_layer_sizes"]
STUDY = "BackpropMLP on digits"
STUDIED = ["activation", "alpha", "hidden_units", "learning_rate_init"]
TRIALS = [f"trial {number}" for number in reversed(range(4))]


class RunsTable:
    """The table of runs, worked as a person does."""

    def __init__(self, page):
        self.page = page
        self.rows = page.locator(".ag-pinned-left-cols-container .ag-row")

    def row(self, name):
        link = self.page.get_by_role("link", name=name, exact=True)
        return self.rows.filter(has=link)

    def names(self, n_rows):
        """Wait for `n_rows` rows, and read their names from top to bottom."""
        links = self.rows.get_by_role("link")
        expect(links).to_have_count(n_rows)
        place = "Number(link.closest('.ag-row').getAttribute('row-index'))"
        found = links.evaluate_all(f"all => all.map(link => [{place}, link.innerText])")
        return [name for _, name in sorted(found)]

    def expand(self, name):
        self.row(name).locator("[data-component-id*=runnamecellrenderer]").click()

    def select(self, name):
        self.row(name).locator(".ag-checkbox-input").check()

    def toggle_columns(self, *names):
        """Tick those that are not shown, and take back those that are."""
        self.page.get_by_role("button", name="Columns").click()
        for name in names:
            self.page.get_by_placeholder("Search columns").fill(name)
            entry = self.page.locator("[class*=tree-treenode]")
            entry = entry.filter(has_text=re.compile(f"^{name}$"))
            entry.locator("[class*=tree-checkbox]").first.click()
        self.page.keyboard.press("Escape")

    def widen(self, *columns):
        """Let columns be as wide as what is in them."""
        for column in columns:
            header = self.page.locator(f".ag-header-cell[col-id='{column}']")
            header.locator(".ag-header-cell-resize").dblclick()

    def cell(self, name, column):
        row_id = self.row(name).get_attribute("row-id")
        return self.page.locator(f"[row-id='{row_id}'] [col-id='{column}']")


@pytest.fixture
def table(page, quickstart):
    """The page that the quickstart tells to open."""
    page.goto(re.search(r"http://127.0.0.1:5000(\S+)", quickstart.out)[1])
    return RunsTable(page)


@pytest.fixture
def trials(store):
    """Run IDs of the trials of a study, by name."""
    below = store.below(store.tunings()[STUDY])
    return {name: run_id for name, run_id in below.items() if name in TRIALS}


@pytest.fixture
def compare(page, experiment_id):
    def compare(run_ids):
        runs, experiments = json.dumps(run_ids), json.dumps([experiment_id])
        page.goto(
            f"/#/compare-runs?runs={quote(runs)}&experiments={quote(experiments)}"
        )

    return compare


@pytest.fixture
def experiment_id(quickstart):
    return re.search(r"experiments/(\d+)", quickstart.out)[1]


@pytest.fixture
def open_run(page, experiment_id):
    def open_run(run_id, tab=""):
        page.goto(f"/#/experiments/{experiment_id}/runs/{run_id}/{tab}")

    return open_run


def plotted(page, kind):
    """What Plotly draws: the first trace of a plot of this kind."""
    expect(page.locator(kind)).to_be_visible()
    plot = page.locator(".js-plotly-plot").filter(has=page.locator(kind))
    return plot.evaluate("plot => plot.data[0]")


def test_tunings_are_listed_the_newest_first(table):
    assert table.names(6) == NEWEST_FIRST


def test_folds_are_below_candidates_and_candidates_below_their_search(table):
    table.expand(SEARCH)
    below = ["refit", *reversed(CANDIDATES)]
    assert table.names(11) == [STUDY, SEARCH, *below, *NEWEST_FIRST[2:]]
    table.expand(CANDIDATES[3])
    assert set(table.names(14)[4:7]) == {"fold 0", "fold 1", "fold 2"}


def test_fits_are_below_trials_and_trials_below_their_study(table):
    table.expand(STUDY)
    assert table.names(11) == [STUDY, "BackpropMLP", *TRIALS, *NEWEST_FIRST[1:]]
    table.expand("trial 3")
    assert table.names(14)[3:6] == ["fold 2", "fold 1", "fold 0"]


def test_columns_show_parameters_and_scores(table, store, take_picture):
    table.expand(SEARCH)
    table.expand(CANDIDATES[3])
    unneeded = ["Dataset", "Source", "Models"]
    table.toggle_columns(*unneeded, *SEARCHED, "mean_test_score", "test_score")
    candidates = store.below(store.tunings()[SEARCH])
    del candidates["refit"]
    for name, run_id in candidates.items():
        for key, value in store.params(run_id).items():
            expect(table.cell(name, f"params.`{key}`")).to_have_text(value)
        score = table.cell(name, "metrics.`mean_test_score`").inner_text()
        assert float(score) == store.metrics(run_id)["mean_test_score"]
    table.names(14)
    table.page.get_by_role("button", name="Toggle sidebar").click()
    shown = ["metrics.`mean_test_score`", *(f"params.`{name}`" for name in SEARCHED)]
    table.widen("attributes.`Run Name`", *shown)
    take_picture("runs")


def test_candidates_are_compared_by_their_score(table, store):
    table.expand(SEARCH)
    for name in CANDIDATES:
        table.select(name)
    table.page.get_by_role("button", name="Compare").click()
    expect(table.page.get_by_text("Comparing 4 Runs")).to_be_visible()
    plot = plotted(table.page, ".parcoords")
    labels = [axis["label"] for axis in plot["dimensions"]]
    assert labels == [*SEARCHED, "mean_test_score"]


def test_trials_are_lines_across_their_parameters(
    page, compare, trials, store, take_picture
):
    compare(list(trials.values()))
    page.get_by_role("combobox").first.click()
    options = page.locator("[class*=select-item-option]")
    options.filter(has_text="learning_rate_init").first.click()
    page.keyboard.press("Escape")
    expect(page.locator(".parcoords .axis-title")).to_have_count(5)
    axes = {a["label"]: a["values"] for a in plotted(page, ".parcoords")["dimensions"]}
    assert list(axes) == [*STUDIED, "value"]
    assert axes["value"] == [store.metrics(r)["value"] for r in trials.values()]
    alphas = [float(store.params(run_id)["alpha"]) for run_id in trials.values()]
    assert axes["alpha"] == pytest.approx(alphas)
    take_picture("compare-parallel")


@pytest.mark.slow
def test_trials_are_points_between_a_parameter_and_their_value(
    page, compare, trials, store, take_picture
):
    compare(list(trials.values()))
    page.get_by_role("tab", name="Scatter Plot").click()
    page.get_by_label("X-axis").click()
    page.get_by_role("option", name="learning_rate_init").click()
    expect(page.locator(".xtitle")).to_have_text("learning_rate_init")
    expect(page.locator(".ytitle")).to_have_text("value")
    points = plotted(page, ".xtitle")
    rates = [store.params(run_id)["learning_rate_init"] for run_id in trials.values()]
    assert [float(x) for x in points["x"]] == [float(rate) for rate in rates]
    assert points["y"] == [store.metrics(run_id)["value"] for run_id in trials.values()]
    take_picture("compare-scatter")


@pytest.mark.slow
def test_objective_of_a_fit_is_a_curve_over_its_iterations(
    page, open_run, store, take_picture
):
    refit = store.below(store.tunings()[SEARCH])["refit"]
    open_run(refit)
    page.get_by_role("tab", name="Model metrics").click()
    card = page.get_by_test_id("experiment-view-compare-runs-card")
    card = card.filter(has=page.get_by_role("heading", name="objective"))
    expect(card.locator(".xtitle")).to_have_text("Step")
    expect(card.locator(".js-line").first).to_be_visible()
    plot = card.locator(".js-plotly-plot").evaluate("plot => plot.data[0]")
    assert list(zip(plot["x"], plot["y"], strict=True)) == store.curve(
        refit, "objective"
    )
    take_picture("metrics")


def test_search_begins_with_its_best_score(page, open_run, store):
    open_run(store.tunings()[SEARCH])
    first = page.get_by_role("row").filter(has=page.get_by_role("link")).first
    expect(first).to_contain_text("best_score")


def test_study_begins_with_its_best_score(page, open_run, store):
    open_run(store.tunings()[STUDY])
    first = page.get_by_role("row").filter(has=page.get_by_role("link")).first
    expect(first).to_contain_text("best_score")


def test_search_tells_what_was_tuned_and_what_was_best(
    page, open_run, store, take_picture
):
    search = store.tunings()[SEARCH]
    open_run(search)
    expect(page.get_by_text("4 candidates, 3 splits each")).to_be_visible()
    page.get_by_text("Show more").first.click()
    for name in SEARCHED:
        cells = page.get_by_role("row").filter(has_text=name).first
        expect(cells).to_contain_text(store.params(search)[f"best_{name}"])
    expect(page.get_by_text(f'load_model("runs:/{search}/model")')).to_be_visible()
    take_picture("description")


def test_study_tells_what_was_tried(page, open_run, store):
    open_run(store.tunings()[STUDY])
    expect(page.get_by_text("4 finished trials")).to_be_visible()


def test_held_out_score_is_that_of_the_search(page, open_run, store):
    search = store.tunings()[SEARCH]
    open_run(search)
    row = page.get_by_role("row").filter(has_text=re.compile("^test_score"))
    expect(row).to_contain_text(str(store.metrics(search)["test_score"])[:5])


def test_figure_of_a_search_is_shown(page, open_run, store, take_picture):
    search = store.tunings()[SEARCH]
    open_run(search, "artifacts")
    page.get_by_text("cv_results.png").click()
    figure = page.get_by_role("img", name="cv_results.png")
    expect(figure).to_be_visible()
    size = figure.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    with Image.open(store.artifact(search, "cv_results.png")) as logged:
        assert logged.size == tuple(size)
    take_picture("figure", hide=page.get_by_text("Path:").locator(".."))


def open_model(page):
    """Follow the link in the list of models; those of metrics open another tab."""
    link = page.get_by_role("link", name="model", exact=True)
    link.and_(page.locator("a:not([target])")).click()


def test_model_tells_what_it_was_made_of_and_by_whom(
    page, open_run, store, take_picture
):
    search = store.tunings()[SEARCH]
    open_run(search)
    open_model(page)
    expect(page.get_by_text("Ready")).to_be_visible()
    expect(page.get_by_test_id("key-value-Source run")).to_contain_text(SEARCH)
    expect(page.get_by_test_id("key-value-Logged from")).to_contain_text(
        "quickstart.py"
    )
    expect(page.get_by_test_id("key-value-Created by")).to_contain_text(
        getpass.getuser()
    )
    for name in SEARCHED:
        row = page.get_by_role("row").filter(has_text=f"best_{name}")
        expect(row).to_contain_text(store.params(search)[f"best_{name}"])
    expect(page.get_by_text("HillClimbMLP, the model of the run")).to_be_visible()
    best = page.get_by_role("row").filter(has_text="best_score")
    expect(best).to_contain_text("training_data")
    take_picture("model")


def test_model_is_stored_without_pickle(page, open_run, store):
    open_run(store.tunings()[SEARCH])
    open_model(page)
    page.get_by_text("Artifacts").click()
    expect(page.get_by_text("model.skops")).to_be_visible()
    expect(page.get_by_text(".pkl")).to_have_count(0)
