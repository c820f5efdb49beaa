"""From tokens to logits: one file a head."""
