"""The reading half: records into frames, tables, plots and verdicts. pandas, never torch; nothing here measures."""
