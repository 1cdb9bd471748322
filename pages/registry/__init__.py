"""The page Registry."""
