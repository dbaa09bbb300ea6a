"""The command line of fdtcp."""
