"""How the kernel harness measures."""
