"""How help is laid out: commands and options under headings, and an example for each command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

Sections = Mapping[str, Sequence[str]]

_SHORT = 120  # letters of a command's first sentence: more would be cut off


class SectionedCommand(click.Command):
    """A command whose help shows its options under headings: ``sections`` names parameters by heading.

    What is in no section stands first, under "Options".
    """

    def __init__(self, *args: Any, sections: Sections, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        records = {str(p.name): p.get_help_record(ctx) for p in self.get_params(ctx)}
        rest = [name for name in records if not any(name in names for names in self.sections.values())]
        for title, names in {"Options": rest, **self.sections}.items():
            with formatter.section(title):
                formatter.write_dl([record for name in names if (record := records[name]) is not None])


def write_commands(group: click.Group, sections: Sections, formatter: click.HelpFormatter) -> None:
    """Write the commands of a group, section by section."""
    for title, names in sections.items():
        with formatter.section(title):
            formatter.write_dl([(name, group.commands[name].get_short_help_str(_SHORT)) for name in names])


def add_examples(group: click.Group, examples: Mapping[str, str]) -> None:
    """Give each command its example, a command line, as the last thing in its help."""
    for name, example in examples.items():
        group.commands[name].epilog = f"\b\nExample:\n  {example}"
