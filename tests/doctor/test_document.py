"""docs/doctor.md says what the checks say. `python -m tests.doctor.test_document` writes its generated parts anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cloudtrail_validate.doctor.model import Axis, Check, Subject
from cloudtrail_validate.doctor.names import generic
from cloudtrail_validate.doctor.registry import CHECKS
from cloudtrail_validate.doctor.render.sentences import QUESTIONS

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "doctor.md"
HEADINGS: Final = {
    Subject.TRAIL: "The trail",
    Subject.ORGANIZATION: "The organization",
    Subject.BUCKET: "The bucket",
    Subject.POLICY: "The bucket policy",
    Subject.KEYS: "Keys",
    Subject.CALLER: "Whoever validates",
}
_PART = "<!-- {0} -->\n(.*?)<!-- end of {0} -->\n"


def overview() -> str:
    """A table a question: the checks that help to answer it first of all."""
    lines = []
    for axis in Axis:
        lines += [f"**{QUESTIONS[axis]}**", "", "| check | wanted | also asked for by |", "|---|---|---|"]
        lines += [
            f"| [`{check.id}`](#{check.id}) | {check.title} | {', '.join(check.also)} |"
            for check in CHECKS.values()
            if check.axes[0] is axis
        ]
        lines.append("")
    return "\n".join(lines)


def reference() -> str:
    """Each check with all its texts, by subject."""
    lines: list[str] = []
    for subject, heading in HEADINGS.items():
        lines += [f"## {heading}", ""]
        for check in CHECKS.values():
            if check.subject is subject:
                lines += [*_check(check), ""]
    return "\n".join(lines)


def _check(check: Check) -> Iterator[str]:
    yield f"### {check.id}"
    yield ""
    yield f"{check.title} ({' and '.join(check.axes)}). {_sentence(check.finds)} {check.why}"
    yield ""
    asked = ", ".join(f"`{ask.name}`" for ask in check.asks) or "nothing of AWS"
    yield f"Asks {asked}. Needs {', '.join(f'`{action}`' for action in check.actions) or 'no permission'}."
    yield ""
    yield "```text"
    yield from map(generic, check.remedy)
    yield "```"


def _sentence(finds: str) -> str:
    """`bad: this; weak: that` with the statuses in italics, as a sentence."""
    parts = re.split(r"; (?=(?:bad|weak|unknown): )", finds)
    told = "; ".join(re.sub(r"^(bad|weak|unknown): ", r"*\1*: ", each) for each in parts)
    return f"*{told[1].upper()}{told[2:]}."


def part(text: str, name: str) -> str:
    (found,) = re.findall(_PART.format(name), text, re.DOTALL)
    return str(found)


def test_the_document_says_what_the_checks_say() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    again = "python -m tests.doctor.test_document writes it anew"
    assert part(text, "overview") == overview(), again
    assert part(text, "reference") == reference(), again
    said = re.search(r"(\d+) checks", text)
    assert said is not None
    assert int(said[1]) == len(CHECKS)


def test_every_subject_and_axis_has_checks() -> None:
    assert {check.subject for check in CHECKS.values()} == set(Subject) == set(HEADINGS)
    assert {check.axes[0] for check in CHECKS.values()} == set(Axis)
    assert all(len(set(check.axes)) == len(check.axes) for check in CHECKS.values())


def test_ids_of_others_are_written_in_one_way() -> None:
    kinds = (
        r"CIS 5\.0 \d+\.\d+(?:\.\d+)?",
        r"Security Hub [A-Za-z0-9]+\.\d+",
        r"Prowler [a-z0-9_]+",
        r"NIST 800-53 [A-Z]{2}-\d+(?:\(\d+\))?",
        r"PCI DSS 4\.0 [\d.]+",
    )
    for check in CHECKS.values():
        assert len(set(check.also)) == len(check.also)
        for name in check.also:
            assert any(re.fullmatch(kind, name) for kind in kinds), name


def test_texts_are_for_people() -> None:
    for check in CHECKS.values():
        assert len(check.title) <= 47, check.id  # one line of `ctvalidate explain` at 80 columns
        assert check.why.endswith(".")
        assert re.match(r"(bad|weak): ", check.finds)
        assert not re.search(r"[{}]", check.title + check.finds + check.why)


def _write() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, content in (("overview", overview()), ("reference", reference())):
        start, end = next(match.span(1) for match in re.finditer(_PART.format(name), text, re.DOTALL))
        text = text[:start] + content + text[end:]
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write()
