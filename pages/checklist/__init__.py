"""The page Checklist."""
