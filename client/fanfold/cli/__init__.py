"""The command line: `fanfold run`, `submit`, `jobs`, `status`, `logs`, `collect` and the others."""


def main() -> None:
    """Run the command that this process was started with, and end with its exit code."""
    from fanfold.cli.app import app

    app(prog_name="fanfold")
