"""What papers print, one CSV file per paper; ``core.published`` reads them."""
