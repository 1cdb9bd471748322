"""The steps retrain and replay: when to train again.

Policies, decisions with their reasons, and the simulation of policies on labelled history.
"""

__all__ = [
    "decision_basis",
    "injection",
    "policy",
    "policy_comparison",
    "policy_evidence",
    "policy_settings",
    "policy_store",
    "records",
    "replay",
    "replay_charts",
    "replay_rows",
    "replay_store",
    "retrain",
    "retrain_charts",
    "row_stream",
    "simulation",
]
