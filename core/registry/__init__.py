"""Registered versions, and which of them is the champion: the step promote.

The rules of its aliases (`registry`), its files with their digests (`version_files`), its card, and
the gate that challengers pass.
"""

__all__ = ["model_card", "model_facts", "promote", "records", "registry", "version_files"]
