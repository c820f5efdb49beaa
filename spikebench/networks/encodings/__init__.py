"""From an image to T steps: one file an encoding."""
