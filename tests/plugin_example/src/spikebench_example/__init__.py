"""An attention, a data set and a harness that spikebench finds by their entry points."""
