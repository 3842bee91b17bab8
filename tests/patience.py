"""How long a fit waits for its run: on a busy machine a store may take longer.

All that tests of behaviours change inside tracking.
"""

from skperceptron.tracking.journal import _handover

# Where the seconds are, and what they are with patience.
PATIENCE = [(_handover, "SECONDS_TO_WAIT", 300.0)]


def be_patient() -> None:
    """Let all fits of this process wait."""
    for owner, name, value in PATIENCE:
        setattr(owner, name, value)
