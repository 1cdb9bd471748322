"""The page Prepare."""
