"""Delivers the runs that wait in the journal to MLflow."""
