"""Documents filled from the runs: reports, cards, dossier.

`gather` reads the facts, `texts` writes the documents, `export` bundles them.
"""

__all__ = ["dossier", "export", "gather", "texts"]
