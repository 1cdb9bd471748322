"""The shipped project: Kobe Bryant's shots.

Its file and its sample, the court, and what the course that it was made for asks: its questions,
the checklist, and the published baseline.
"""
