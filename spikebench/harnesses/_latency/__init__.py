"""How the latency harness measures."""
