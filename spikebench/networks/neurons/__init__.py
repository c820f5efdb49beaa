"""Neuron layers: from input currents (T, B, C, ...) to spikes of the same shape, from rest at every call."""

from spikebench.networks.neurons._base import SpikingNeuron

__all__ = ["SpikingNeuron"]
