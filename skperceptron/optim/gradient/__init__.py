"""Gradients, and the rules by which they move parameters."""
