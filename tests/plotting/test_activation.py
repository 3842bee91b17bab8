"""The curves of activations, compared with the functions and finite differences."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from skperceptron.network import ACTIVATIONS
from skperceptron.plotting import ActivationDisplay


def curve_of(display, index=0):
    return display.lines_[index].get_data()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_outputs_are_those_of_the_activation(name):
    z, outputs = curve_of(ActivationDisplay.from_names([name]))
    assert z[0] == -4
    assert z[-1] == 4
    assert_allclose(outputs, ACTIVATIONS[name].function(z))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_are_the_slopes_of_the_outputs(name):
    z, slopes = curve_of(ActivationDisplay.from_names([name], derivative=True))
    away = np.abs(z) > 1e-3  # from the jumps and bends
    z, slopes = z[away], slopes[away]
    function = ACTIVATIONS[name].function
    expected = (function(z + 1e-5) - function(z - 1e-5)) / 2e-5
    assert_allclose(slopes, expected, atol=1e-8)


def test_jump_of_step_is_where_it_belongs():
    z, outputs = curve_of(ActivationDisplay.from_names(["step"]))
    assert 0 < z[outputs == 1].min() + 1e-12 <= 1e-9
    assert -1e-9 <= z[outputs == 0].max() < 0


def test_curves_are_named_and_told_apart():
    display = ActivationDisplay.from_names(list(ACTIVATIONS))
    legend = display.ax_.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(ACTIVATIONS)
    looks = {(to_hex(ln.get_color()), ln.get_linestyle()) for ln in display.lines_}
    assert len(looks) == len(ACTIVATIONS)
    assert display.ax_.get_ylabel() == "output"
    assert display.figure_ is display.ax_.figure


def test_axes_and_limits_are_the_users():
    ax = Figure().subplots()
    display = ActivationDisplay.from_names(["tanh"], limits=(1, 2), ax=ax)
    assert display.ax_ is ax
    assert curve_of(display)[0][[0, -1]].tolist() == [1, 2]
    assert not plt_figures()


def plt_figures():
    import matplotlib.pyplot as plt

    return plt.get_fignums()


def test_line_options_win():
    display = ActivationDisplay.from_names(["tanh"])
    display.plot(Figure().subplots(), color="black", linewidth=3)
    assert display.lines_[0].get_color() == "black"
    assert display.lines_[0].get_linewidth() == 3


@pytest.mark.parametrize("names", [["sine"], ["relu", "sine"], []])
def test_unknown_names_are_answered_with_the_known_ones(names):
    with pytest.raises(ValueError, match=r"'identity', 'logistic'.*got"):
        ActivationDisplay.from_names(names)


@pytest.mark.parametrize("names", ["relu", [1], ["relu", None], 3, None])
def test_names_that_are_no_list_of_names(names):
    with pytest.raises(TypeError, match=r"must be a sequence of str.*got"):
        ActivationDisplay.from_names(names)


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (-np.inf, 0), (0, np.nan)])
def test_limits_without_room(limits):
    with pytest.raises(ValueError, match="limits must be two finite numbers"):
        ActivationDisplay.from_names(["relu"], limits=limits)


@pytest.mark.parametrize("limits", [3, None, (1, 2, 3), ("a", "b")])
def test_limits_that_are_no_two_numbers(limits):
    with pytest.raises(TypeError, match=r"limits must be two numbers, got"):
        ActivationDisplay.from_names(["relu"], limits=limits)


@pytest.mark.parametrize("ax", ["left", Figure()])
def test_what_is_no_axes(ax):
    with pytest.raises(TypeError, match=r"ax must be matplotlib axes.*got"):
        ActivationDisplay.from_names(["relu"], ax=ax)


def test_legend_of_many_names_covers_no_curve():
    display = ActivationDisplay.from_names(list(ACTIVATIONS))
    display.figure_.draw_without_rendering()
    legend = display.ax_.get_legend().get_window_extent()
    assert not legend.overlaps(display.ax_.bbox)
    assert legend.x1 < display.figure_.bbox.x1


def bump(z):
    return np.exp(-z * z)


def relu(z):
    z[z < 0] = 0
    return z


class TestFunctions:
    def test_are_drawn_with_their_names(self):
        display = ActivationDisplay.from_names([bump, "relu", np.tanh])
        assert [line.get_label() for line in display.lines_] == ["bump", "relu", "tanh"]
        z, outputs = curve_of(display)
        assert_allclose(outputs, bump(z))

    def test_are_told_apart_from_others_of_the_name(self):
        def _relu(z):
            return -relu(z)

        display = ActivationDisplay.from_names([relu, "relu", _relu])
        assert list(display.outputs) == ["relu (2)", "relu", "relu (3)"]
        assert_allclose(display.outputs["relu"], display.outputs["relu (2)"])
        assert display.z[0] == -4

    def test_have_no_derivatives(self):
        with pytest.raises(ValueError, match=r"derivative=True needs .* with names"):
            ActivationDisplay.from_names(["relu", bump], derivative=True)

    def test_that_are_none_are_refused(self):
        with pytest.raises(ValueError, match="must return an array of floats"):
            ActivationDisplay.from_names([len])
