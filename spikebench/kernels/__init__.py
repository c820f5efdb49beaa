"""Neuron kernels: one equation a folder, one backend a file, and the oracle beside them."""
