"""What goes on while a network learns, for lectures and for the curious.

A callback keeps the weights; displays show what became of them. Importing this package
does not import matplotlib; drawing does.
"""

from skperceptron.inspection._boundary_history import BoundaryHistoryDisplay
from skperceptron.inspection._climb_path import ClimbPathDisplay
from skperceptron.inspection._weight_history import WeightHistory

__all__ = ["BoundaryHistoryDisplay", "ClimbPathDisplay", "WeightHistory"]
