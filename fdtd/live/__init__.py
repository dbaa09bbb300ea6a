"""Sessions that run: the pure machine with its mover, all sessions of a daemon, and cleaning up after them."""
