"""What a notebook shows of the run in the picture of an estimator."""

import shutil
import subprocess

import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.classifiers import _base

X, y = load_iris(return_X_y=True)
CLASSIFIERS = [
    HillClimbPerceptron(max_iter=5),
    HillClimbMLP(max_iter=5),
    BackpropMLP(max_iter=5, tol=10, n_iter_no_change=1),
]
ids = [type(clf).__name__ for clf in CLASSIFIERS]


@pytest.mark.parametrize("clf", CLASSIFIERS, ids=ids)
def test_fitted_classifier_shows_its_run_in_scikit_learns_picture(clf, runs):
    clf = clone(clf).fit(X, y)
    html = clf._repr_html_()
    assert "sk-container" in html
    assert f"MLflow run <code>{clf.run_id_}</code>" in html
    assert clf._repr_mimebundle_()["text/html"].count("MLflow run") == 1


def test_store_that_is_no_server_is_shown_with_the_command_for_it(
    tracking_uri, tmp_path, new_store
):
    store = f"sqlite:///{shutil.copy(new_store, tmp_path / 'my runs.db')}"
    tracking_uri(store)
    html = HillClimbPerceptron(max_iter=5).fit(X, y)._repr_html_()
    command = html.rpartition("<code>")[2].partition("</code>")[0]
    command = command.replace("&#x27;", "'")
    words = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True
    )
    assert words.stdout.splitlines() == ["mlflow", "ui", "--backend-store-uri", store]


def test_pipeline_and_search_show_the_run_of_the_classifier_in_them(runs):
    pipeline = make_pipeline(StandardScaler(), HillClimbPerceptron(max_iter=5))
    assert "MLflow run" not in pipeline._repr_html_()
    run_id = pipeline.fit(X, y)[-1].run_id_
    assert pipeline._repr_html_().count(f"MLflow run <code>{run_id}</code>") == 1
    grid = {"hillclimbperceptron__step_size": [0.1]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    refit = search.best_estimator_[-1].run_id_
    assert search._repr_html_().count(f"MLflow run <code>{refit}</code>") == 1


def test_classifier_without_a_run_shows_nothing_more(runs):
    clf = HillClimbPerceptron(max_iter=5)
    assert "MLflow" not in clf._repr_html_()
    with skperceptron.config_context(tracking=False):
        clf.fit(X, y)
    assert "MLflow" not in clf._repr_html_()
    assert clf._repr_html_().startswith(estimator_html_repr(clf)[:20])


@pytest.mark.parametrize("clf", CLASSIFIERS, ids=ids)
def test_picture_links_to_the_documentation_once_that_is_published(clf, monkeypatch):
    assert 'class="param-doc-link"' not in clf._repr_html_()
    monkeypatch.setattr(_base, "DOCUMENTATION_URL", "https://docs.example")
    page = f"https://docs.example/generated/skperceptron.{type(clf).__name__}.html"
    html = clf._repr_html_()
    assert f'href="{page}"' in html
    # Each parameter has a link, and its description as a tooltip.
    assert html.count(f'href="{page}#:~:text=') >= len(clf.get_params())
    assert html.count('class="param-doc-description"') >= len(clf.get_params())


def test_picture_of_the_users_own_subclass_links_nowhere(monkeypatch):
    class Mine(HillClimbPerceptron):
        pass

    monkeypatch.setattr(_base, "DOCUMENTATION_URL", "https://docs.example")
    assert "docs.example" not in Mine()._repr_html_()


def test_display_as_text_has_no_picture(runs):
    clf = HillClimbPerceptron(max_iter=5).fit(X, y)
    with sklearn.config_context(display="text"):
        assert not hasattr(clf, "_repr_html_")
        assert clf._repr_mimebundle_() == {
            "text/plain": "HillClimbPerceptron(max_iter=5)"
        }
