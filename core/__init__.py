"""Courtside without its pages: steps, adapters and logic."""
