"""``python -m fastcf.cli``."""

from fastcf.cli.app import main

if __name__ == "__main__":
    main(prog_name="fastcf")
