"""What a user sees when a command fails: one line, and an exit status that means something."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from blurgen.errors import Argument, ArgumentError, InputError
from blurgen_cli.sections import Sections, write_commands

_DONE, _FAILED, _BAD_INPUT, _INTERRUPTED = 0, 1, 2, 130
_TRACEBACK = "--traceback"


class OneLineErrors(click.Group):
    """A group of commands that exit 0 done, 2 wrong usage or bad input, 130 interrupted, 1 anything else.

    ``--traceback``, anywhere on the command line, shows where an error came from. ``sections`` are the
    commands by heading.
    """

    def __init__(self, *args: Any, sections: Sections | None = None, **options: Any) -> None:
        options.setdefault("epilog", f"Every command takes {_TRACEBACK}: show where an error came from.")
        super().__init__(*args, **options)
        self.sections = sections or {"Commands": tuple(self.commands)}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section."""
        write_commands(self, self.sections, formatter)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and leave the process with its exit status."""
        words = list(sys.argv[1:] if args is None else args)
        show = _TRACEBACK in words
        words = [word for word in words if word != _TRACEBACK]
        if not standalone_mode:
            return super().main(words, prog_name, complete_var, False, **extra)
        try:
            status = super().main(words, prog_name, complete_var, False, **extra)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            _complain("Interrupted.", show)
            sys.exit(_INTERRUPTED)
        except (InputError, ArgumentError) as error:
            _complain(error.text(Argument.option), show)
            sys.exit(_BAD_INPUT)
        except Exception as error:
            hint = "" if show else f" (run it again with {_TRACEBACK} to see where)"
            _complain(f"{type(error).__name__}: {error}{hint}", show)
            sys.exit(_FAILED)
        sys.exit(status if isinstance(status, int) else _DONE)


def _complain(message: str, show: bool) -> None:
    if show:
        traceback.print_exc()
    click.echo(f"Error: {' '.join(message.splitlines())}", err=True)
