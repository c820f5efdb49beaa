"""Ways to hand a trained network on, one file a format; a file's ``Export`` writes into a folder and returns the files."""
