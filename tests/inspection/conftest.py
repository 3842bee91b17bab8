import matplotlib
import pytest


@pytest.fixture(autouse=True)
def _no_windows():
    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
