"""Figures that become artifacts."""

import subprocess
import sys

import pytest

CODE = """
import sys, threading, time
import mlflow
from skperceptron.tracking.recording._figures import as_png, new_figure

sys.modules.pop("IPython", None)
sys.path.insert(0, {folder!r})
importing = threading.Thread(target=__import__, args=["IPython"])
importing.start()
while "IPython" not in sys.modules:
    time.sleep(0.01)
assert not hasattr(sys.modules["IPython"], "version_info")
figure = new_figure(2, 1)
assert as_png(figure).startswith(b"\\x89PNG")
"""


@pytest.mark.slow
def test_figure_can_be_drawn_while_another_thread_imports_ipython(tmp_path):
    package = tmp_path / "IPython.py"
    package.write_text("import time\ntime.sleep(3)\nversion_info = (9, 0)\n")
    code = CODE.format(folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
