"""Documents that people read: sections make blocks, formats write them."""
