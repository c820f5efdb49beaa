"""``python -m spikebench`` is the same as the command ``spikebench``."""

from __future__ import annotations


def main() -> None:
    from spikebench.cli import app

    app()


if __name__ == "__main__":
    main()
