"""From encoded images to tokens: one file a stem."""
