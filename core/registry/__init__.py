"""Registered versions and the champion: the step promote.

The rules of the aliases (`registry`), the files of a version with their digests (`version_files`),
the model card, and the gate that challengers pass.
"""

__all__ = ["model_card", "model_facts", "promote", "records", "registry", "version_files"]
