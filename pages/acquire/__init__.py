"""The page Acquire."""
