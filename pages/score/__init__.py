"""The page Score."""
