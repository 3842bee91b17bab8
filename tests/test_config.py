import threading

import pytest

import skperceptron
from skperceptron import config_context, get_config, set_config


@pytest.fixture(autouse=True)
def _restore():
    yield
    skperceptron._config._process_wide.clear()


def test_tracking_is_on_by_default():
    assert get_config() == {
        "tracking": True,
        "log_models": "best",
        "log_input_examples": True,
    }


def test_set_config_holds_in_every_thread():
    set_config(tracking=False)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(get_config()["tracking"]))
    thread.start()
    thread.join()
    assert seen == [False]


def test_context_ends_with_its_block():
    with config_context(tracking=False):
        assert not get_config()["tracking"]
        with config_context(tracking=True):
            assert get_config()["tracking"]
        assert not get_config()["tracking"]
    assert get_config()["tracking"]


def test_context_ends_with_an_exception_too():
    with pytest.raises(RuntimeError), config_context(tracking=False):
        raise RuntimeError
    assert get_config()["tracking"]


def test_none_changes_nothing():
    set_config(tracking=False)
    set_config()
    with config_context():
        assert not get_config()["tracking"]


@pytest.mark.parametrize(
    ("value", "tracking"),
    [("0", False), ("false", False), ("OFF", False), ("1", True), ("yes", True)],
)
def test_environment_decides_at_first(value, tracking, monkeypatch):
    monkeypatch.setenv("SKPERCEPTRON_TRACKING", value)
    assert get_config()["tracking"] is tracking
    set_config(tracking=not tracking)
    assert get_config()["tracking"] is not tracking


def test_environment_must_be_understood(monkeypatch):
    monkeypatch.setenv("SKPERCEPTRON_TRACKING", "maybe")
    with pytest.raises(ValueError, match=r"SKPERCEPTRON_TRACKING must be one of"):
        get_config()


@pytest.mark.parametrize("name", ["tracking", "log_input_examples"])
def test_switch_is_a_bool(name):
    with pytest.raises(TypeError, match=f"{name} must be True, False or None"):
        set_config(**{name: "no"})
    with (
        pytest.raises(TypeError, match=f"{name} must be True, False or None"),
        config_context(**{name: 1}),
    ):
        pass
