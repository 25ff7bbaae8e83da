"""What `ctvalidate explain` says of a check of `ctvalidate doctor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cloudtrail_validate.doctor.model import Check
from cloudtrail_validate.doctor.names import generic
from cloudtrail_validate.doctor.registry import CHECKS

Paragraph = Callable[[str, str, str], str]
"""Text with what its first and its further lines begin with, to lines of the terminal's width."""


def as_json(check: Check) -> dict[str, Any]:
    """Return one check as a JSON object."""
    return {
        "id": check.id,
        "subject": check.subject.value,
        "axes": [axis.value for axis in check.axes],
        "title": check.title,
        "finds": check.finds,
        "why": check.why,
        "api_calls": [ask.name for ask in check.asks],
        "actions": list(check.actions),
        "remedy": list(map(generic, check.remedy)),
        "also": list(check.also),
    }


def explain(check: Check, paragraph: Paragraph) -> None:
    """Print what a check asks, finds and needs, why, and what mends it."""
    click.secho(paragraph(check.title, "", "  "), bold=True)
    click.secho(paragraph(f"{check.id}: a check of ctvalidate doctor; {' and '.join(check.axes)}", "", "  "), dim=True)
    for heading, text in (
        ("Finds", check.finds),
        ("Why", check.why),
        ("Asks", ", ".join(ask.name for ask in check.asks) or "AWS nothing"),
        ("Needs", ", ".join(check.actions) or "no permission"),
        ("Also asked for by", ", ".join(check.also)),
    ):
        if text:
            click.secho(f"\n{heading}", bold=True)
            click.echo(paragraph(text, "  ", "  "))
    click.secho("\nRemedy", bold=True)
    for line in check.remedy:
        click.echo(paragraph(generic(line), "  ", "    "))


def list_checks(paragraph: Paragraph) -> None:
    """Print all checks, a line each."""
    names = max(map(len, CHECKS))
    click.secho(f"\n{'Check':<{names}}  {'Axis':<7}  Title", bold=True)
    for check in CHECKS.values():
        click.echo(paragraph(f"{check.id:<{names}}  {check.axes[0]:<7}  {check.title}", "", "    "))
