"""Records made of records: nothing is measured again."""
