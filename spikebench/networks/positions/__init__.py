"""What tells an encoder where a token stands: one file a position embedding."""
