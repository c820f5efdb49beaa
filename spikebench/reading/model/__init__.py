"""Records into one frame, and the plain questions that everything else asks of it."""
