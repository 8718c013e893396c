"""``python -m fastcf.cli``."""

from fastcf.cli._app import main

if __name__ == "__main__":
    main(prog_name="fastcf")
