"""Chips: one TOML file each, what an event, a neuron, a message and a step cost, with sources and with what is left out."""
