"""What is done to a network: one harness a file. torch is imported inside ``run``, so suites are checked without it."""
