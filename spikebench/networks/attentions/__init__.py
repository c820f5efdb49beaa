"""How tokens mix: one file an attention."""
