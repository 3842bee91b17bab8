"""Hill climbs: one on any objective, and the same, compiled, on built-in ones."""
