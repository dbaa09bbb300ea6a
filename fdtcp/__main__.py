"""So that `python -m fdtcp` is the command, too."""

from fdtcp.cli.main import run

if __name__ == "__main__":
    run()
