"""AWS's own `validate-logs` beside ctvalidate on the same trails, object by object.

What it calls valid we call valid; what it calls invalid we name too. Where ctvalidate reports more, the case stands in
`MORE`, and its reason in docs/stricter-than-aws-cli.md: one that no longer differs fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from cloudtrail_validate import Request, run
from cloudtrail_validate.core.model import Finding, Locator, Status, isoformat
from tests.scenarios import keys, stores, world
from tests.scenarios.vector import Vector, of

if TYPE_CHECKING:
    from cloudtrail_validate import Report
    from tests.scenarios.world import World
    from tests.servers.aws import AwsServer

pytestmark = pytest.mark.oracle

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "stricter-than-aws-cli.md"
_OBJECT: Final = re.compile(
    r"(?:\(backfill\) )?(?:Digest|Log) file\ts3://[^/]+/(?P<key>.*)\t(?P<said>valid|INVALID: .*)"
)
KEYS_A_PAGE: Final = 100  # all on one page, as far as anybody knows what AWS does

ProvenDigest = tuple[str, str]
"""A rule, and the key (or role) of the object; for hours that no object stands for, their start."""


def vector(**parts: Any) -> Vector:
    """A vector whose keys CloudTrail lists, as aws-cli asks nobody else."""
    return of(keys={"source": "aws"}, **parts)


def put(key: str, hour: int, text: str = "{}") -> dict[str, str]:
    return {"do": "put", "key": key, "text": text, "at": f"2026-01-01T{hour:02d}:30:00Z"}


def planted_log(hour: int) -> str:
    return f"{{logs}}2026/01/01/111122223333_CloudTrail_us-east-1_20260101T{hour:02d}30Z_AAAAAAAAAAAAAAAA.json.gz"


EDITED = {"do": "replace", "old": "eventVersion", "new": "eventversion"}
FOREIGN_DIGEST = (
    "{digests}2026/01/01/111122223333_CloudTrail-Digest_us-east-1_management-events_us-east-1_20260101T031703Z.json.gz"
)

# Trails on which both say the same of every object.
SAME = {
    "clean": vector(trail={"hours": 8, "key_rotation_hours": 3, "late_logs": 4, "prefix": "logs"}),
    "clean, another region": vector(trail={"hours": 4, "regions": ["eu-west-1"], "home_region": "us-east-1"}),
    "clean, moved to another bucket": vector(
        trail={"hours": 6, "moves": [{"hour": 3, "bucket": "amzn-s3-demo-bucket2"}]}
    ),
    "logs": vector(
        trail={"hours": 14, "late_logs": 3},
        edits=[
            {**EDITED, "key": "{log 2.0}"},
            {"do": "truncate", "key": "{log 4.0}", "bytes": 100},
            {"do": "delete", "key": "{log 5.0}"},
            {"do": "append", "key": "{log 6.0}", "text": "{}", "gzip": True},
            {"do": "append", "key": "{log 7.0}", "text": "\n"},
            {"do": "put", "key": "{log 8.0}", "text": "{}", "gzip": False},
            {"do": "copy", "key": "{log 10.0}", "source": "{log 11.0}"},
            {**EDITED, "key": "{late 0.0}"},
        ],
    ),
    "digests that still cover their logs": vector(
        trail={"hours": 8},
        edits=[
            {"do": "metadata", "key": "{digest 2}", "set": {"signature": "00" * 256}},
            {"do": "metadata", "key": "{digest 5}", "set": {"signature": None}},
        ],
    ),
    "a key that nobody lists": vector(trail={"hours": 5}, tamper=["digest-key-unknown"]),
}


@dataclass(frozen=True, slots=True)
class Trail:
    """A trail on which ctvalidate reports more: by case, what only it names."""

    vector: Vector
    more: dict[str, set[ProvenDigest]]


MORE = {
    "digests": Trail(
        vector(
            trail={"hours": 20},
            edits=[
                {"do": "append", "key": "{digest 2}", "text": "more"},
                {"do": "metadata", "key": "{digest 5}", "set": {"signature-algorithm": "SHA512withRSA"}},
                {"do": "sign", "key": "{digest 8}", "set": {"newestEventTime": "2026-01-01T07:59:59Z"}},
                {"do": "copy", "key": FOREIGN_DIGEST, "source": "{digest 3}"},
                put("{digests}2026/01/01/readme.json.gz", 3),
                {"do": "delete", "key": "{digest 11}"},
                {"do": "truncate", "key": "{digest 13}", "bytes": 100},
                {"do": "replace", "key": "{digest 16}", "old": "us-east-1", "new": "us-west-1"},
            ],
        ),
        {
            "digest-trailing-data": {("digest-trailing-data", "{digest 2}")},
            "digest-algorithm": {("digest-algorithm-unsupported", "{digest 5}")},
            "digest-link": {("digest-link-broken", "{digest 8}")},
            "digest-elsewhere": {("digest-moved", FOREIGN_DIGEST)},
            "digest-folder-junk": {("digest-malformed", "{digests}2026/01/01/readme.json.gz")},
            "log-undigested": {("log-undigested", f"{{log {hour}.0}}") for hour in (11, 13, 16)},
            "gap-broken": {("gap-broken", f"2026-01-01T{hour}:00:00Z") for hour in (10, 12, 15)},
        },
    ),
    "logs": Trail(
        vector(
            trail={"hours": 8, "pending": 1},
            edits=[
                put(planted_log(2), 2),
                put("{logs}2026/01/01/events.json", 3),
                {"do": "written", "key": "{log 5.0}", "at": "2026-02-01T00:00:00Z"},
            ],
        ),
        {
            "log-extra": {("log-extra", planted_log(2)), ("log-extra", "{logs}2026/01/01/events.json")},
            "log-rewritten": {("log-rewritten", "{log 5.0}")},
            "log-pending": {("log-pending", "{stray 0}")},
        },
    ),
    "orphan": Trail(
        vector(trail={"hours": 6}, tamper=["digest-unlinked"], edits=[{**EDITED, "key": "{planted 1}"}]),
        {"digest-unlinked": {("digest-unlinked", "{planted 0}"), ("log-altered", "{planted 1}")}},
    ),
    "coverage": Trail(
        vector(
            trail={
                "hours": 8,
                "regions": ["us-east-1", "eu-west-1"],
                "restarts": [[2, 1]],
                "accounts": ["123456789012"],
            },
            edits=[{"do": "delete", "key": f"{{digest {number}}}"} for number in (6, 7, 8)]
            + [{"do": "delete", "key": f"{{digest {number}@eu-west-1}}"} for number in range(9)],
        ),
        {
            "gap-restart": {("gap-restart", "2026-01-01T02:00:00Z")},
            "gap-tail": {("gap-tail", "2026-01-01T05:00:00Z")},
            "tail-undigested": {("log-undigested", f"{{log {number}.0}}") for number in (6, 7, 8)},
            "other-regions": {("chain-absent", "2026-01-01T00:30:00Z")}
            | {("log-undigested", f"{{log {number}.0@eu-west-1}}") for number in (1, 2, 4, 5, 6, 7, 8)},
        },
    ),
    "restart": Trail(
        vector(trail={"hours": 6, "restarts": [[3, 0]]}),
        {"chain-restart": {("chain-restart", "{digest 4}")}},
    ),
}


# Trails that ctvalidate proves and AWS's tool does not: its two limits are no finding of ours.
OTHER_WAY_ROUND = {
    "keys as SubjectPublicKeyInfo": vector(trail={"hours": 3, "spki_every": 1}),
    "keys on several pages": vector(trail={"hours": 8, "key_rotation_hours": 2}),
}


@cache
def listed_in_document() -> dict[str, str]:
    """The cases of the document's tables: id and reason."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows)


@pytest.fixture(autouse=True)
def shared_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.session.create_loader", stores.models)


class Objects:
    """Keeps what ctvalidate says of each object."""

    def __init__(self) -> None:
        self.said: dict[str, Status | None] = {}

    def finding(self, finding: Finding) -> None:
        """Findings are in the report."""

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:  # Listener's
        self.said[where.key] = status


@dataclass(frozen=True, slots=True)
class Both:
    """What each says. `cli` and `ours` are objects by key; `report` has what is no object."""

    built: World
    cli: dict[str, str]
    cli_exit: int
    ours: dict[str, Status | None]
    report: Report

    def invalid(self) -> set[str]:
        """What AWS's tool calls invalid."""
        return {key for key, said in self.cli.items() if said != "valid"}

    def named(self) -> set[ProvenDigest]:
        """What ctvalidate names and AWS's tool does not."""
        invalid = self.invalid()
        out = set()
        for finding in self.report.findings:
            if finding.key not in invalid:
                out.add((finding.rule, finding.key or isoformat(finding.start or self.built.start)))
        return out


def ask_both(case: Vector, aws: AwsServer, *, narrowed: bool = False, page: int = KEYS_A_PAGE) -> Both:
    """Ask both; `narrowed` keeps ctvalidate to the one region that AWS's tool looks at."""
    aws.page_size = page
    built = world.build(case)
    keys.publish(aws, built.published)
    stores.upload_to_moto(built.buckets, aws)
    start, end = built.start + timedelta(minutes=30), built.end
    spec = built.spec
    place = ["--trail-arn", spec.trail_arn, "--s3-bucket", spec.bucket, "--s3-prefix", spec.prefix]
    times = ["--start-time", isoformat(start), "--end-time", isoformat(end), "--region", spec.regions[0]]
    command = [sys.executable, "-m", "awscli", "cloudtrail", "validate-logs", "--verbose", *place, *times]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    cli = {match["key"]: match["said"] for match in map(_OBJECT.fullmatch, ran.stdout.splitlines()) if match}
    assert cli, ran.stdout
    objects = Objects()
    request = Request(
        start=start,
        end=end,
        trail_arn=spec.trail_arn,
        bucket=spec.bucket,
        prefix=spec.prefix or None,
        regions=spec.regions[:1] if narrowed else (),
        concurrency=16,
    )
    report = run(request, listener=objects, now=built.now).report
    return Both(built, cli, ran.returncode, objects.said, report)


def agree(both: Both) -> None:
    """The contract between the two."""
    valid = both.cli.keys() - both.invalid()
    assert valid <= both.ours.keys()
    named = {key for _, key in both.named()}
    assert {key for key in valid if both.ours[key] not in (None, Status.NOTICE)} <= named
    accused = {f.key for f in both.report.findings if f.status in (Status.ALTERED, Status.MISSING)}
    assert both.invalid() <= accused
    assert both.cli_exit == int(bool(both.invalid()))


@pytest.mark.parametrize("name", SAME)
def test_both_say_the_same(aws: AwsServer, name: str) -> None:
    both = ask_both(SAME[name], aws, narrowed=True)
    agree(both)
    assert both.named() == set()
    assert bool(both.invalid()) == (not name.startswith("clean"))
    assert both.report.exit_code == both.cli_exit
    if not both.invalid():
        assert both.ours.keys() == both.cli.keys()


@pytest.mark.parametrize("name", MORE)
def test_ctvalidate_also_reports(aws: AwsServer, name: str) -> None:
    both = ask_both(MORE[name].vector, aws)
    agree(both)
    names = both.named()
    for case, wanted in MORE[name].more.items():
        assert {(rule, both.built.key(key)) for rule, key in wanted} <= names, case
        names -= {(rule, both.built.key(key)) for rule, key in wanted}
    assert names == set()


@pytest.mark.parametrize("name", OTHER_WAY_ROUND)
def test_ctvalidate_proves_more(aws: AwsServer, name: str) -> None:
    both = ask_both(OTHER_WAY_ROUND[name], aws, page=2)
    assert both.cli_exit == 1
    assert both.report.exit_code == 0
    assert all(both.ours[key] is None for key in both.invalid())
    assert name in DOCUMENT.read_text(encoding="utf-8")


def test_the_document_has_every_case_and_no_other() -> None:
    assert list(listed_in_document()) == [case for trail in MORE.values() for case in trail.more]
