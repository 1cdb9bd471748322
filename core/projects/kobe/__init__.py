"""The shipped project: Kobe Bryant's shots.

Its file, its sample, the court, and the requirements of the course it was made for: questions,
checklist, and published baseline.
"""
