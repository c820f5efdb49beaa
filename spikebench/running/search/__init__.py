"""An Optuna study over a suite's space, whose trials are cells of the suite's results folder."""
