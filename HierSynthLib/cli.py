"""The `hiersynth` command: its commands, and how every error ends in one line and an exit code."""

import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer

import HierSynthLib
from HierSynthLib.commands.demo import demo
from HierSynthLib.commands.evaluate import evaluate
from HierSynthLib.commands.fidelity import fidelity
from HierSynthLib.commands.jobs import JobError
from HierSynthLib.commands.models import models
from HierSynthLib.commands.perfusion import perfusion
from HierSynthLib.commands.phantom import phantom
from HierSynthLib.commands.study import study
from HierSynthLib.commands.synthesize import synthesize
from HierSynthLib.commands.terminal import error_line
from HierSynthLib.commands.train import train
from HierSynthLib.errors import Cancelled, HierSynthError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="hiersynth",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Synthetic CBV maps from non-contrast MRI. Research only, not for clinical use.",
)
app.command()(demo)
app.command()(evaluate)
app.command()(fidelity)
app.command()(perfusion)
app.command()(phantom)
app.command()(synthesize)
app.command()(train)
app.add_typer(models, name="models")
app.add_typer(study, name="study")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hiersynth {HierSynthLib.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 only when the thing was done.

    An error is one line on stderr. With --debug the log of the worker and the traceback stand above it.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name need not fit the terminal's alphabet
    try:
        code = app(arguments, prog_name="hiersynth", standalone_mode=False)
    except (Cancelled, KeyboardInterrupt):
        print("hiersynth: stopped", file=sys.stderr)
        return INTERRUPTED
    except typer.TyperException as error:
        return _usage_mistake(error)
    except HierSynthError as error:
        if debug:
            print("\n".join(error.log) if isinstance(error, JobError) else traceback.format_exc(), file=sys.stderr)
        return _failure(error.message, error.hint)
    except Exception as error:
        if debug:
            traceback.print_exc()
        hint = "Please report it." if debug else "Run it again with --debug to see where, and report it."
        return _failure(f"unexpected {type(error).__name__}: {error}.", hint)
    return code if isinstance(code, int) else 0


def _failure(message: str, hint: str) -> int:
    print(error_line(message, hint), file=sys.stderr)
    return FAILED


def _usage_mistake(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "hiersynth"
    message = error.format_message()
    if message.startswith("Usage:"):
        print(message, file=sys.stderr)  # asked for nothing: the whole help
    else:
        print(error_line(message.replace("Value error, ", ""), f"See: {command} --help"), file=sys.stderr)
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
