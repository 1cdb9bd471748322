"""What `kedro run` runs: PreparacaoDados, then Treinamento."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from shots.nodes import filter_shots, split, train


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines by name; the default is both."""
    prepare = Pipeline(
        [
            Node(filter_shots, ["shots_dev", "shots_prod", "params:columns"], "data_filtered"),
            Node(split, ["data_filtered", "parameters"], ["base_train", "base_test"]),
        ]
    )
    fit = Pipeline([Node(train, ["base_train", "base_test", "parameters"], None)])
    return {"PreparacaoDados": prepare, "Treinamento": fit, "__default__": prepare + fit}
