"""One job: what it is done to, how it runs in one process, and what it tells whoever watches."""
