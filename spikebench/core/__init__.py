"""Plain data that both halves of spikebench share: the standard library and YAML only, never torch or pandas."""
