"""How the memory harness measures."""
