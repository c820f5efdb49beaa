"""The ways to run one network that latency, memory and power tell apart."""
