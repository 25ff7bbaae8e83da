"""`ctvalidate completion SHELL`: the lines that make a shell complete commands, options, formats, rules and regions."""

from __future__ import annotations

import os
from typing import Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

PROGRAM: Final = "ctvalidate"
VARIABLE: Final = "_CTVALIDATE_COMPLETE"  # what a shell asks with: `bash_source`, `bash_complete`, …
_POWERSHELL: Final = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $env:%(complete_var)s = 'powershell_complete'
    $env:COMP_WORDS = $commandAst.ToString()
    $env:COMP_CWORD = $wordToComplete
    try {
        & %(prog_name)s | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
        }
    } finally {
        Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_CWORD -ErrorAction SilentlyContinue
    }
}
"""


class PowerShellComplete(ShellComplete):
    """PowerShell 5.1 and newer. click has none of its own."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words so far, without the program, and the one that is being typed."""
        words, incomplete = split_arg_string(os.environ["COMP_WORDS"]), os.environ["COMP_CWORD"]
        words = words[1:]
        if incomplete and words and words[-1] == incomplete:
            words = words[:-1]
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """One line: the value, and what it is."""
        return f"{item.value}\t{item.help}" if item.help else str(item.value)


SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
    "powershell": PowerShellComplete,
}


@click.command("completion", short_help="Make a shell complete commands, options and values.")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def command(shell: str) -> int:
    """Print what makes SHELL complete commands, options, formats, rules, profiles and regions.

    Nothing is installed: load the lines in the shell, or from its start-up file.
    """
    from cloudtrail_validate.cli import group

    click.echo(source(group, shell), nl=False)
    return 0


def source(root: click.Command, shell: str) -> str:
    """The lines for a shell."""
    text = SHELLS[shell](root, {}, PROGRAM, VARIABLE).source()
    return text.strip("\n") + "\n"


def answer(root: click.Command, instruction: str, context: dict[str, Any]) -> int:
    """Answer a shell that asks. 0, or 2 for an instruction that no shell gives."""
    shell, _, what = instruction.partition("_")
    if shell not in SHELLS or what not in ("source", "complete"):
        return 2
    asked = SHELLS[shell](root, context, PROGRAM, VARIABLE)
    click.echo(asked.source() if what == "source" else asked.complete())
    return 0
