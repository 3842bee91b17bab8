"""How what waits in the journal comes to MLflow."""
