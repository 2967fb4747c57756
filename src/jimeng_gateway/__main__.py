"""`python -m jimeng_gateway` and the console command."""

from __future__ import annotations


def main() -> None:
    """Runs the command line; ends the process with the exit code of the command."""
    from jimeng_gateway.cli.main import app

    app(prog_name="jimeng-gateway")


if __name__ == "__main__":
    main()
