"""Two results into differences, verdicts and one exit code; baselines."""
