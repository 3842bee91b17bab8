"""What fits, searches and studies say of themselves."""
