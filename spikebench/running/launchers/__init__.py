"""Where jobs run: in this process, or in several. A launcher is handed the work and knows nothing of it."""
