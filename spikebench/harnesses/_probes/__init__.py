"""What the harnesses that measure features share."""
