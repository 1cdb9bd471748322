"""A second built-in example: will a flight from New York arrive late?

Its file and its sample: rows with a time, current ones by a day, and a map of destinations.
"""
