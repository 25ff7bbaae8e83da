"""Versions, markers and hashes as values: their order, what they prove, and the command that a shell can take."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.evidence.history import Checked, Entry, Listing, Subject, assemble, merge, subjects
from tests.evidence.kit import BUCKET

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HASH = "ab" * 32
LOG = Locator(BUCKET, "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/x.json.gz")


def entry(version_id: str, minutes: int, *, size: int | None = 1, latest: bool = False) -> Entry:
    return Entry(version_id, T0 + timedelta(minutes=minutes), size, latest)


def subject_of(rule: str, key: str = LOG.key) -> Subject:
    """An object that a finding of that rule is about, whose hash is known."""
    return Subject(Locator(BUCKET, key), frozenset({rule}), frozenset({HASH}))


def test_findings_of_one_object_are_one_subject() -> None:
    digest = Locator(
        BUCKET,
        "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/01/01/"
        "111122223333_CloudTrail-Digest_us-east-1_management-events_us-east-1_20260101T010000Z.json.gz",
    )
    signature = "0a" * 256
    found = subjects(
        [
            Finding(rules.DIGEST_MOVED, Status.ALTERED, where=digest, expected=HASH),
            Finding(rules.DIGEST_LINK_BROKEN, Status.ALTERED, where=digest, expected=signature.upper()),
            Finding(rules.LOG_PENDING, Status.NOTICE, where=LOG),
            Finding(rules.LOG_UNDIGESTED, Status.UNVERIFIABLE, where=LOG),
            Finding(rules.GAP_TAIL, Status.UNCOVERED),
            Finding(rules.DIGEST_UNREADABLE, Status.UNVERIFIABLE, where=Locator(BUCKET, "AWSLogs/1")),
            Finding(rules.LOG_UNREADABLE, Status.UNVERIFIABLE, where=LOG, expected=HASH.upper()),
        ]
    )
    assert list(found) == [digest, LOG]
    assert found[digest].signatures == {signature}
    assert found[digest].hashes == frozenset(), "what a moved digest says of itself proves nothing"
    assert found[digest].provable
    assert found[LOG].hashes == {HASH}


def test_versions_and_markers_of_one_second_keep_their_order() -> None:
    page = merge(
        [entry("c", 5), entry("b", 9), entry("a", 0)],  # b: a multipart upload that began late and was stored early
        [entry("m2", 5, size=None, latest=True), entry("m1", 0, size=None)],
    )
    assert [item.version_id for item in page] == ["m2", "c", "b", "a", "m1"]


@pytest.mark.parametrize(
    "key",
    ["a\nb", "a\x1b[2J", "-a", "file:///a", "a?versionId=x", "a\u202eb"],
)
def test_a_key_that_no_command_can_name_gets_none(key: str) -> None:
    listing = Listing((entry("2", 5, latest=True), entry("1", 0)))
    subject = subject_of(rules.LOG_ALTERED, key)
    seen = assemble(subject, listing, {"1": Checked(True, HASH), "2": Checked(False)}, keeps=True)
    assert seen.original is not None
    assert seen.restore_command is None
    assert seen.note == "no shell command can name its key: use ctvalidate recover"


def test_a_command_is_quoted_for_the_shell() -> None:
    key = "it's $(reboot); `id` & * \\"
    listing = Listing((entry("2", 5, latest=True), entry("-1 x", 0)))
    seen = assemble(subject_of(rules.LOG_ALTERED, key), listing, {"-1 x": Checked(True, HASH)}, keeps=True)
    words = shlex.split(seen.restore_command or "")
    assert words[words.index("--key") + 1] == key
    assert words[words.index("--copy-source") + 1] == f"{BUCKET}/{key}?versionId=-1 x"


def test_a_second_marker_of_the_same_second_is_not_overlooked() -> None:
    entries = (entry("m2", 5, size=None, latest=True), entry("1", 5), entry("m1", 5, size=None))
    seen = assemble(subject_of(rules.LOG_MISSING), Listing(entries), {"1": Checked(True, HASH)}, keeps=True)
    assert shlex.split(seen.restore_command or "")[2] == "copy-object"


def test_where_the_middle_was_left_out_its_end_is_not_known() -> None:
    entries = tuple(entry(str(n), -n, latest=n == 0) for n in range(100))
    subject = subject_of(rules.LOG_ALTERED)
    at_the_seam = assemble(subject, Listing(entries, skipped=7), {"50": Checked(True, HASH)}, keeps=True)
    beside_it = assemble(subject, Listing(entries, skipped=7), {"51": Checked(True, HASH)}, keeps=True)
    assert at_the_seam.replaced_at is None
    assert beside_it.replaced_at == entries[50].modified


def test_a_foreign_name_and_an_unknown_hash_are_said() -> None:
    listing = Listing((entry("1", 0, latest=True),), endless=True)
    stray = assemble(Subject(LOG, frozenset({rules.DIGEST_MOVED})), listing, {}, keeps=True)
    nameless = assemble(Subject(LOG, frozenset({rules.LOG_MISSING})), listing, {}, keeps=True)
    assert (stray.note or "").startswith("CloudTrail gives no digest this name")
    assert (nameless.note or "").startswith("the hash that its digest holds is not known")
    assert (nameless.note or "").endswith("older than these, that were not listed")
