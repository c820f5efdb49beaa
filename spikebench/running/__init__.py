"""From a suite to a filled results folder: planning, executing, resuming, searching."""
