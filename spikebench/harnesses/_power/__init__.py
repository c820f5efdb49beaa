"""How the power harness measures."""
