"""``python -m fastcf``."""

from fastcf.cli import main

if __name__ == "__main__":
    main(prog_name="fastcf")
