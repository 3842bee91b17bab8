"""Where runs wait on disk until MLflow has them."""
