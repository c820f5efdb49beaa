"""How anything is timed: warm-up, interleaved rounds, the stop rule, and what disturbed them."""
