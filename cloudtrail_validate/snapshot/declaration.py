"""The declaration that a person signs, filled with what the tool knows. Pure: values in, text out, and compared again.

Courts and auditors take a copy on the word of somebody who can say how it was made and how it is recognized (in the United
States Federal Rules of Evidence 902(13), 902(14) and 902(11); elsewhere an expert's statement). The tool cannot be that
person. It writes down what it knows, and says what it does not claim; fields that end in a colon are for the person to
fill, and all else is compared with the snapshot when that is verified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import duration, plural, printable, size
from cloudtrail_validate.report import Report
from cloudtrail_validate.report.reliance import relied_on
from cloudtrail_validate.report.wording import limits, sentence
from cloudtrail_validate.snapshot.manifest import KEYS, MANIFEST, REPORT, SIGNATURE, STATEMENT, TIMESTAMP, Manifest

_MARK: Final = "<!-- ctvalidate declaration 1 -->"  # 1: the wording; another wording gets another number
_MARKS: Final = re.compile(r"<!-- ctvalidate declaration ([0-9]{1,6}) -->")
_STAMP: Final = re.compile(
    rf"- Time stamp \(RFC 3161\): `{re.escape(TIMESTAMP)}`, SHA-256 `([0-9a-f]{{64}})`, from `(.*)`"
)
_MOST_LINES: Final = 10_000  # of a declaration with a person's remarks
_ON: Final = "Computer and account on which it ran"
_FIELDS: Final = (
    "Name",
    "Function and organization",
    "Knowledge of the program and of the systems named above",
    _ON,
    "Where the copy has been kept since, and by whom",
    "Remarks",
    "Place and date",
    "Signature",
)
_PREFACE: Final = (
    "Written by {tool} when the copy was complete, for the person who made it or answers for it to read, complete and sign. "
    "Section 6 is that person's. `ctvalidate verify-snapshot` compares the rest with the copy."
)
_OATH: Final = (
    "I made this copy with the program named in section 2, or had it made under my direction. To the best of my knowledge "
    "sections 1 to 5 are true and complete, and the program did what section 2 says it does."
)
_PERSONS: Final = "## 6. Statement of the person who signs"


class Stamped(msgspec.Struct, frozen=True):
    """The time stamp that a snapshot was made with: the file's SHA-256 (hex) and whom it was asked from."""

    sha256: str
    url: str


def declare(manifest: Manifest, report: Report, sha256: str, stamped: Stamped | None, *, ran_on: str = "") -> str:
    """The declaration about a snapshot. `sha256` is the manifest's; `ran_on` what fills the computer's field."""
    lines = [
        _MARK,
        f"# Declaration about a copy of {_kind(report)}",
        "",
        _PREFACE.format(tool=_quoted(_tool(manifest))),
        "",
        "## 1. What was copied",
        "",
        *_items(_what(manifest, report)),
        "",
        "## 2. By what means, and when",
        "",
        *_items(_how(manifest, report)),
        "",
        "## 3. How the copy is recognized",
        "",
        *_items(_recognized(manifest, sha256, stamped)),
        "",
        "## 4. What the validation found",
        "",
        *_items(_found(report)),
        "",
        "## 5. What is not claimed",
        "",
        *_items(_not_claimed(manifest, report)),
        "",
        _PERSONS,
        "",
        _OATH,
        "",
        *(f"- {name}: {printable(ran_on) if name == _ON else ''}".rstrip() for name in _FIELDS),
        "",
    ]
    return "\n".join(lines)


def stamped_in(text: str) -> Stamped | None:
    """The time stamp that a declaration speaks of, if it does."""
    for line in text.splitlines()[:_MOST_LINES]:
        found = _STAMP.fullmatch(line)
        if found:
            return Stamped(found[1], found[2])
    return None


def is_of_another_version(text: str) -> bool:
    """Whether it is a declaration that another version of this program worded."""
    first = text.partition("\n")[0].rstrip("\r")
    return first != _MARK and _MARKS.fullmatch(first) is not None


def compare(text: str, manifest: Manifest, report: Report, sha256: str) -> str:
    """What a declaration says that is not so of the snapshot, or an empty string.

    Fields of section 6 may hold anything, further lines below them included. Words of another version are not compared.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if is_of_another_version(text):
        return ""
    if lines[0] != _MARK or len(lines) > _MOST_LINES:
        return "is no declaration about a snapshot"
    expected = declare(manifest, report, sha256, stamped_in(text)).split("\n")
    first = expected.index(_PERSONS) + 4  # the fields
    for number, (line, is_) in enumerate(zip(lines[:first], expected[:first], strict=False), 1):
        if line.rstrip() != is_.rstrip():
            return f"says in line {number} what the snapshot does not"
    if len(lines) < first:
        return f"ends at line {len(lines)}"
    missing = [name for name in _FIELDS if not any(line.startswith(f"- {name}:") for line in lines[first:])]
    return f"lacks the field {missing[0]!r}" if missing else ""


def _kind(report: Report) -> str:
    return "results of AWS CloudTrail Lake queries" if report.of_queries else "AWS CloudTrail log files"


def _what(manifest: Manifest, report: Report) -> Iterator[str]:
    window, request = manifest.window, manifest.request
    copied = [file for file in manifest.files if file.object]
    if report.of_queries:
        yield f"Place: {_quoted(manifest.source)}, and all below it"
        yield f"Queries: {len(report.saved_queries):,}, completed {isoformat(window.start)} to {isoformat(window.end)}, UTC"
    else:
        yield f"Trail: {_quoted(manifest.trail_arn) if manifest.trail_arn else 'whatever wrote to the place named next'}"
        yield f"Place: {_quoted(manifest.source)}"
        yield f"Hours: {isoformat(window.start)} to {isoformat(window.end)}, UTC"
        yield f"Accounts: {_names(request.accounts)}; regions: {_names(request.regions)}"
    yield f"Objects: {len(copied):,}, {size(sum(file.size for file in copied))}, byte for byte as stored"
    if manifest.left_out:
        yield f"Left out: {plural(len(manifest.left_out), 'object')}, each named in `{MANIFEST}` with the reason"


def _how(manifest: Manifest, report: Report) -> Iterator[str]:
    caller = report.run.caller_arn
    yield f"Program: {_quoted(_tool(manifest))}"
    begun, ended, whole = map(isoformat, (report.run.started, report.run.finished, manifest.created))
    yield f"Run from {begun} to {ended}; copy complete at {whole}"
    yield f"Identity that AWS knew it by: {_quoted(caller) if caller else 'not known, or none was needed'}"
    if isinstance(role := report.request.role_arn, str):
        yield f"Role that was assumed: {_quoted(role)}"
    what, checked = ("trail's files", "signatures and links of all digest files, hashes of all log files")
    if report.of_queries:
        what, checked = ("files of the results", "signatures of all sign files, hashes of all result files")
    yield (
        f"What it does: it lists the {what}, reads each once, writes its bytes to the copy while it computes their "
        f"SHA-256, and validates what it read: {checked}"
    )


def _recognized(manifest: Manifest, sha256: str, stamped: Stamped | None) -> Iterator[str]:
    listed = {file.path: file.sha256 for file in manifest.files}
    yield f"SHA-256 of `{MANIFEST}`, which holds the SHA-256 of every other file: `{sha256}`"
    yield from (f"SHA-256 of `{name}`: `{listed[name]}`" for name in (REPORT, KEYS))
    if manifest.signed_by:
        where = f", in AWS KMS as {_quoted(manifest.signer)}" if manifest.signer else ""
        yield f"Signed (`{SIGNATURE}`, `{STATEMENT}`) with the key whose SHA-256 is `{_plain(manifest.signed_by)}`{where}"
    else:
        yield "Not signed electronically"
    if stamped:
        yield f"Time stamp (RFC 3161): `{TIMESTAMP}`, SHA-256 `{stamped.sha256}`, from {_quoted(stamped.url)}"
    else:
        yield "No time stamp of an authority"


def _found(report: Report) -> Iterator[str]:
    summary = report.summary
    yield f"{_plain(sentence(report))} (exit code {report.exit_code})"
    signing, signed = ("Sign files", "Result files") if report.of_queries else ("Digest files", "Log files")
    for name, counts in ((signing, summary.digests), (signed, summary.logs)):
        yield (
            f"{name}: {counts.valid:,} valid, {counts.altered:,} altered, {counts.missing:,} missing, "
            f"{counts.extra:,} extra, {counts.unverifiable:,} unverifiable"
        )
    if report.of_queries:
        covered = sum(query.statement_covered for query in report.saved_queries)
        yield f"Queries whose statement is covered by AWS's signature: {covered:,} of {len(report.saved_queries):,}"
    else:
        covered_time, whole = duration(summary.covered_seconds), duration(summary.window_seconds)
        yield f"Covered by proven digest files in every account and region: {covered_time} of {whole}"
    yield f"Every finding is in `{REPORT}`. What the proofs rest on:"
    stated = report.relied_on if isinstance(report.relied_on, tuple) else relied_on(report)
    yield from (f"  - {_plain(line)}" for line in stated)


def _not_claimed(manifest: Manifest, report: Report) -> Iterator[str]:
    yield limits(report).removesuffix(".")
    yield "That what an event says is true: a stolen credential writes genuine events"
    yield "Who made, changed or deleted a file, and that nobody else has read the log files"
    beyond = "the place" if report.of_queries else "the hours, accounts, regions and folders"
    yield f"Anything about files beyond {beyond} named in section 1"
    if not manifest.signed_by:
        yield "That this copy is unchanged since: who can write to it can write all of it anew, this declaration too"
    yield "That this declaration satisfies the rules of a particular court or authority"


def _items(lines: Iterable[str]) -> Iterator[str]:
    return (line if line.startswith("  - ") else f"- {line}" for line in lines)


def _tool(manifest: Manifest) -> str:
    return f"{manifest.tool.name} {manifest.tool.version}"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(_quoted(name) for name in names) if names else "all"


def _quoted(text: str) -> str:
    """A value from outside as Markdown shows it: printable, one line, and nothing in it is markup."""
    return f"`{printable(text).replace('`', '’')}`"


def _plain(text: str) -> str:
    """A sentence of ours that quotes values from outside: no markup in it."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", printable(text))
