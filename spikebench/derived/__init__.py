"""Records into records, and the statistics of both: nothing here measures anything."""
