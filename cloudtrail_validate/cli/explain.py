"""`ctvalidate explain [RULE]`: what a rule means, what it does not mean, and what to do next; what a check asks."""

from __future__ import annotations

import json
from difflib import get_close_matches
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from cloudtrail_validate.cli import explain_check
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.doctor.registry import CHECKS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cloudtrail_validate.core.rules import Rule

    _StringType = click.ParamType[str]
else:
    _StringType = click.ParamType  # older versions of click have no generic type


class RuleName(_StringType):
    """A rule id: completed in the shell, and answered with the nearest ones where it is none."""

    name = "rule"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the rule id in lower case; fails with exit code 2 where there is no such rule."""
        rule = value.strip().lower()
        known = (*RULES, *CHECKS)
        if rule not in known:
            near = [name for name in known if rule and rule in name][:3] or get_close_matches(rule, known, n=3)
            hint = f"nearest: {', '.join(near)}" if near else "ctvalidate explain lists all rules"
            self.fail(f"there is no rule '{printable(value)}'; {hint}", param, ctx)
        return rule

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002 - as above
        incomplete: str,
    ) -> list[CompletionItem]:
        """Rules that begin like what was typed, with their titles as help."""
        from click.shell_completion import CompletionItem

        titles = {rule.id: rule.title for rule in RULES.values()} | {each.id: each.title for each in CHECKS.values()}
        return [CompletionItem(name, help=title) for name, title in titles.items() if name.startswith(incomplete)]


@click.command("explain", short_help="What a rule means and what to do next.")
@click.argument("rule", required=False, type=RuleName())
@click.option("--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(rule: str | None, output_format: str) -> None:
    """Say when RULE is found, what it means, what it does not mean, and what to do next.

    RULE may also be a check of ctvalidate doctor. Without RULE: list all rules and checks.
    """
    check = CHECKS.get(rule or "")
    if check is not None:
        if output_format == "json":
            click.echo(json.dumps(explain_check.as_json(check), indent=2))
        else:
            explain_check.explain(check, _paragraph)
        return
    chosen = RULES[rule] if rule else None
    if output_format == "json":
        value = as_json(chosen) if chosen else [as_json(each) for each in RULES.values()]
        click.echo(json.dumps(value, indent=2))
    elif chosen:
        _explain(chosen)
    else:
        _list()


def as_json(rule: Rule) -> dict[str, Any]:
    """One rule as a JSON object; `also` is null where its findings have one status only."""
    return {
        "id": rule.id,
        "status": rule.status.value,
        "also": rule.also.value if rule.also else None,
        "tolerable": rule.tolerable,
        "title": rule.title,
        "when": rule.when,
        "means": rule.means,
        "does_not_mean": rule.does_not_mean,
        "next_steps": list(rule.next_steps),
    }


def _width() -> int:
    """Columns of the terminal, within what can be read."""
    return max(40, min(100, get_terminal_size().columns))


def _paragraph(text: str, first: str, rest: str) -> str:
    return fill(text, _width(), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _explain(rule: Rule) -> None:
    status = f"{rule.status} or {rule.also}" if rule.also else rule.status.value
    if rule.status is Status.NOTICE:
        weight = "changes no exit code"
    elif rule.tolerable:
        weight = "--tolerate passes over it where it is unverifiable or uncovered"
    else:
        weight = "--tolerate refuses it"
    click.secho(_paragraph(rule.title, "", "  "), bold=True)
    click.secho(_paragraph(f"{rule.id}: {status}; {weight}", "", "  "), dim=True)
    for heading, text in (("When", rule.when), ("Means", rule.means), ("Does not mean", rule.does_not_mean)):
        click.secho(f"\n{heading}", bold=True)
        click.echo(_paragraph(text, "  ", "  "))
    click.secho("\nNext steps", bold=True)
    for number, step in enumerate(rule.next_steps, 1):
        click.echo(_paragraph(step, f"  {number}. ", "     "))


def _list() -> None:
    names = max(map(len, RULES))
    click.secho(f"{'Rule':<{names}}  {'Status':<12}  Title", bold=True)
    for rule in RULES.values():
        status = f"{rule.status}{'*' if rule.also else ''}"
        click.echo(_paragraph(f"{rule.id:<{names}}  {status:<12}  {rule.title}", "", "    "))
    also = ", ".join(f"{rule.id} may also be {rule.also}" for rule in RULES.values() if rule.also)
    click.secho(_paragraph(f"* {also}", "\n", "  "), dim=True)
    explain_check.list_checks(_paragraph)
    click.secho(_paragraph("ctvalidate explain ID says what one means and what to do next.", "\n", "  "), dim=True)
