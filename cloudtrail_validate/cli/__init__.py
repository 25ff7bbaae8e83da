"""The command line: one module a subcommand, imported when it is called. Without a subcommand it validates."""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from cloudtrail_validate.runtime import last_words

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SUBCOMMANDS: Final = {
    "validate": "Validate a trail (what `ctvalidate [OPTIONS]` does).",
    "report": "Show a kept report again: in other formats, merged, narrowed.",
    "compare": "What appeared, healed and stayed between two reports.",
    "explain": "What a rule means, what it does not mean, and what to do next.",
    "search": "Find events, and say of each whether a proven digest vouches for it.",
    "export": "Write events with their proof to files for databases.",
    "file": "Was this one file delivered by CloudTrail? The chain of proof for it.",
    "recover": "Fetch the proven originals of altered or missing files.",
    "diff": "What changed inside a log, event by event.",
    "fetch-signatures": "Complete a local copy with the signatures of its digests.",
    "snapshot": "Validate, and keep what was validated, to prove it again later.",
    "verify-snapshot": "Prove a snapshot again, offline.",
    "witness": "What event history and the log group say against the proven logs.",
    "lake": "Verify saved results of CloudTrail Lake queries.",
    "doctor": "Would tampering be noticed, could it be undone, is it prevented?",
    "policy": "The least privileges that a command line needs.",
    "keys": "Export CloudTrail's public keys for work without AWS.",
    "plan": "Deal the account-regions of a run out to parts.",
    "merge": "Merge the parts of a run into one report.",
    "recheck": "Prove archived objects again by checksums that S3 computes.",
    "state": "What a state (--state) remembers.",
    "schema": "The report's JSON Schema.",
    "simulate": "Write a trail as AWS would, whole or tampered with on purpose.",
    "demo": "Simulate a trail, tamper with it, and find what was planted.",
    "completion": "Make bash, zsh, fish or PowerShell complete commands and values.",
    "help": "The help of a command.",
}
FIRST_STEPS: Final = {
    "ctvalidate demo": "See what it finds, without an AWS account.",
    "ctvalidate --trail-arn ARN --last 24h": "Validate the last day of a trail.",
    "ctvalidate help COMMAND": "Options and examples of a command.",
}
LEADS: Final = {"check": "validate", "verify": "validate", "validate-logs": "validate", "audit": "validate"}
"""Words that people try first, and where they lead."""
DEFAULT: Final = "validate"
EVIDENCE: Final = 1
INTERRUPTED: Final = last_words.INTERRUPTED
_OF_GROUP: Final = ("--help", "-h", "--version", "-V")
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})  # what a full or broken disk answers


class Commands(click.Group):
    """Loads a subcommand when it is asked for, validates where none is named, and answers a slip with the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """All subcommands, in the order of the help."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        """Import one subcommand's module."""
        if cmd_name not in SUBCOMMANDS:
            return None
        from cloudtrail_validate.cli.equipment import equip

        module = import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        return equip(cmd_name, module.command, getattr(module, "EXAMPLES", None))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options without a subcommand are those of `validate`."""
        if args and args[0].startswith("-") and args[0] not in _OF_GROUP:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Answer a shell that asks for completions, else run. click would end the process after the answer."""
        instruction = os.environ.get("_CTVALIDATE_COMPLETE")
        if instruction:
            from cloudtrail_validate.cli.completion import answer

            return answer(self, instruction, {})
        return super().main(*args, **extra)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete subcommands, and the options of `validate`, which need none."""
        found = super().shell_complete(ctx, incomplete)
        command = self.get_command(ctx, DEFAULT) if incomplete.startswith("-") else None
        if command is not None:
            below = command.make_context(DEFAULT, [], parent=ctx, resilient_parsing=True)
            known = {item.value for item in found}
            found += [item for item in command.shell_complete(below, incomplete) if item.value not in known]
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand, and leave how it ended in the log, where there is one."""
        log = logging.getLogger("cloudtrail_validate.cli")
        try:
            code = super().invoke(ctx)
        except BaseException as error:
            trace = None if isinstance(error, click.ClickException) else error
            log.info("ended by %s: %s", type(error).__name__, error, exc_info=trace)
            raise
        log.info("exit code %s", code)
        return code

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or name the nearest one."""
        if args and args[0] not in SUBCOMMANDS:
            raise click.UsageError(f"no such command {args[0]!r}: {_meant(args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The subcommands, and the options that need none, without importing more than the default command."""
        with formatter.section("First steps"):
            formatter.write_dl(list(FIRST_STEPS.items()), col_max=40)
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))
        command = self.get_command(ctx, DEFAULT)
        if command is not None:
            with formatter.section("Options of validation"):
                records = [param.get_help_record(ctx) for param in command.get_params(ctx) if param.name != "help"]
                formatter.write_dl([record for record in records if record])


def _meant(word: str) -> str:
    """What may have been meant by a word that is no command: what lacks its option, or the nearest command."""
    if word.startswith("arn:") and ":cloudtrail:" in word:
        return f"did you mean --trail-arn {word}?"
    if word.lower().startswith(("s3://", "arn:aws:s3:::")):
        return f"did you mean --s3-bucket {word}?"
    if os.sep in word and os.path.isdir(word):  # noqa: PTH112  # pathlib would be loaded for it
        return f"did you mean --source {word}?"
    from difflib import get_close_matches

    words = get_close_matches(word.lower(), [*LEADS, *SUBCOMMANDS], n=1, cutoff=0.5)
    near = [LEADS.get(found, found) for found in words]
    return f"did you mean {near[0]!r}?" if near else "expected one of " + ", ".join(SUBCOMMANDS)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(None, "-V", "--version", package_name="ctvalidate", prog_name="ctvalidate")
@click.pass_context
def group(ctx: click.Context) -> int:
    """Prove whether AWS CloudTrail logs are what AWS delivered.

    Checks every signature, link and hash of a trail's digest chains in all its accounts and regions, and reports each
    missing, altered or extra file and every hour that nobody can vouch for.

    Every option can come from the environment, too (CTVALIDATE_TRAIL_ARN), or from a file (--config FILE).

    Exit codes: 0 all proven, 1 evidence of change, 2 wrong command line or configuration, 3 not everything could be
    proven, 4 nothing to validate was found, 130 interrupted.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    click.echo(ctx.get_help(), err=True)
    return 2


class Interrupted(int):
    """Exit code of a run that was stopped: its threads may wait for answers that do not come."""


def no_output(error: BaseException) -> bool:
    """Say that standard output takes no more, and let the interpreter not complain of it; False for any other error."""
    if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
        return False
    silence_output()
    last_words.say(f"cannot write to standard output: {error.strerror}")
    return True


def silence_output() -> None:
    """Let whatever is still written to standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(args: list[str] | None = None) -> Any:
    """The command line in a process of someone else: exits with the contract's codes."""
    try:
        code = group.main(args=args, prog_name="ctvalidate", standalone_mode=False)
    except click.ClickException as error:
        last_words.say(error.format_message())
        # click's own code for files it cannot open, and for whatever says no other, is 1
        sys.exit(error.exit_code if error.exit_code != EVIDENCE else last_words.USAGE)
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away; a second complaint from the interpreter would go to it too
        sys.exit(141)
    except SystemExit as end:  # a library's, since every subcommand returns its code
        last_words.say(f"internal error, please report it: the process was ended with {end.code!r}")
        code = last_words.UNPROVEN
    except BaseException as error:
        if no_output(error):
            sys.exit(last_words.UNPROVEN)
        code = _answer(error)
    if code == INTERRUPTED or isinstance(code, Interrupted):
        _leave(code)
    sys.exit(code if isinstance(code, int) else 0)


def _answer(error: BaseException) -> int:
    if isinstance(error, click.Abort):
        last_words.say("interrupted")
        return INTERRUPTED
    with suppress(Exception):  # an installation may be broken: then the error tells
        from cloudtrail_validate.core.errors import AccessError, ConfigurationError, InternalError, RequestError

        if isinstance(error, InternalError):
            return last_words.answer(error.__cause__ or error)
        if isinstance(error, (RequestError, ConfigurationError, AccessError)):
            last_words.say(str(error))
            return last_words.UNPROVEN if isinstance(error, AccessError) else last_words.USAGE
    return last_words.answer(error)


def _leave(code: int) -> NoReturn:
    """End the process at once: its threads may be waiting for answers that do not come, and Python would wait too."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)
