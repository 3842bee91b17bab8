"""Records fits, searches and studies in the journal."""
