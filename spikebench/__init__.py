"""Train a grid of Spikformer variants, measure what they cost and achieve, and gate CI on it."""

__version__ = "0.1.0"
