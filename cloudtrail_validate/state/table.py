"""A state for a terminal: what it is of, what it vouches for by account-region, and what is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import plural, size

if TYPE_CHECKING:
    from cloudtrail_validate.report.page import Page
    from cloudtrail_validate.state.view import OpenView, RegionView, StateView

T = TypeVar("T")
_HEADING: Final = ("Account", "Region", "Hours", "Unproven", "Logs", "Proven from", "to", "Read since", "Digests")

_NUMBERS: Final = frozenset({2, 3, 4, 8})


def render(view: StateView, page: Page, *, show: int | None) -> None:
    """Print a state; `show` is how many account-regions and open findings are shown, None for all."""
    unproven = sum(_hours(region) for region in view.regions)
    hours, logs = sum(region.hours for region in view.regions), sum(region.logs for region in view.regions)
    reads = [item.read for region in view.regions for item in region.stretches]
    rows = (
        ("State", f"{view.target}, {size(view.bytes)}, {view.format}, {plural(view.runs, 'run')}"),
        ("Trail", view.trail_arn or "any found in the source"),
        ("Source", view.source),
        ("Saved", f"{isoformat(view.saved)} by ctvalidate {view.saved_by or '(not said)'}"),
        ("Signed", _signed(view)),
        ("Proven", f"{plural(hours, 'hour')} of {plural(len(view.regions), 'account-region')}, {plural(logs, 'log')}"),
        ("Read", f"all of it since {isoformat(min(reads))}" if reads else "nothing yet"),
        ("Unproven", plural(unproven, "hour") + ", asked for again in each run" if unproven else "no hour"),
    )
    for name, value in rows:
        page.wrapped(page.shorten(value, 400), lead=(f"{name:<10}", "dim"))
    _regions(page, view, show)
    page.line()
    page.line((plural(len(view.open), "open finding"), "bold"))
    for item in _first(view.open, show):
        _finding(page, item)
    _left_out(page, len(view.open), show)


def _signed(view: StateView) -> str:
    if view.signed is None:
        return "no: whoever can write it can vouch for anything"
    return (
        f"with the key {view.signed}, {'which was checked' if view.signature_checked else 'not checked (--public-key)'}"
    )


def _regions(page: Page, view: StateView, show: int | None) -> None:
    rows = [_HEADING, *(_row(region) for region in _first(view.regions, show))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADING))]
    fitting = [sum(widths[: column + 1]) + 2 * column <= page.width for column in range(len(_HEADING))]
    page.line()
    for number, row in enumerate(rows):
        cells = [
            f"{cell:>{width}}" if column in _NUMBERS else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            if fitting[column]
        ]
        page.line(("  ".join(cells).rstrip(), "dim" if number == 0 else ""))
    _left_out(page, len(view.regions), show)


def _row(region: RegionView) -> tuple[str, ...]:
    held = region.stretches
    return (
        region.account,
        region.region[:40],
        f"{region.hours:,}",
        f"{_hours(region):,}",
        f"{region.logs:,}",
        f"{held[0].start:%Y-%m-%d}" if held else "-",
        f"{held[-1].end:%Y-%m-%d}" if held else "-",
        f"{min(item.read for item in held):%Y-%m-%d %H:%M}" if held else "-",
        f"{region.digests:,}",
    )


def _hours(region: RegionView) -> int:
    return sum(int((end - start).total_seconds()) // 3600 for start, end in region.unproven)


def _finding(page: Page, item: OpenView) -> None:
    place = " ".join(part for part in (item.account, item.region) if part)
    hours = f" {isoformat(item.start)} to {isoformat(item.end)}" if item.start and item.end else ""
    title = RULES[item.rule].title if item.rule in RULES else ""
    page.line((f"{item.status.upper():<13}", "bold"), f"{item.rule}  {title}", indent=2)
    page.line(page.shorten(item.key or f"{place}{hours}", page.width - 4, key=item.key is not None), indent=4)
    seen = f"since {isoformat(item.first_seen)}, last found {isoformat(item.last_seen)}, {plural(item.times, 'time')}"
    page.line((seen, "dim"), indent=4)


def _first(items: tuple[T, ...], show: int | None) -> tuple[T, ...]:
    return items if show is None else items[:show]


def _left_out(page: Page, number: int, show: int | None) -> None:
    if show is not None and number > show:
        page.line((f"{page.signs.dots} and {number - show:,} more: --show all", "dim"), indent=2)
