"""How the work harness counts."""
