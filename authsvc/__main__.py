"""`python -m authsvc` is the command `authsvc`."""

from authsvc.cli import run

run()
