"""The command line: `fanfold run`, `submit`, `jobs`, `status`, `logs`, `collect` and the others."""


def main() -> None:
    """Run the command that this process was started with, and end with its exit code."""
    import sys
    from io import TextIOWrapper

    from fanfold.cli.app import app

    if isinstance(sys.stdout, TextIOWrapper):  # a terminal may lack characters that names and logs have
        sys.stdout.reconfigure(errors="backslashreplace")

    app(prog_name="fanfold")
