"""The daemon of a storage host, and the mover that it starts."""
