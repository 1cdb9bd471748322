"""The page Retrain."""
