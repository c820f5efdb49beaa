"""A suite from start to finish: what is left to do, how far it is, and how long it will take."""
