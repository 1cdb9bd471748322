"""Two pipelines of Kobe Bryant's shots, a project of Kedro to compare with."""
