"""Versions of an object in a bucket: which is the original, the command that brings it back, and what is denied."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import subprocess
import sys
import time
import tracemalloc
import zlib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET

from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Cause, Finding, Locator, Status
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.core.versions import Changes
from cloudtrail_validate.evidence import versions
from cloudtrail_validate.evidence.versions import witness
from tests.evidence.kit import BUCKET, Trail, make_trail, without_first_event

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

HASH = "ab" * 32


def run_command(command: str | None) -> None:
    """What a responder does with the command: paste it into a shell where aws-cli is."""
    assert command is not None
    words = shlex.split(command)
    assert words[0] == "aws"
    aws = str(Path(sys.executable).with_name("aws"))
    subprocess.run([aws, *words[1:]], check=True, capture_output=True, env=os.environ, timeout=60)


def rules_of(trail: Trail, key: str) -> set[str]:
    return {finding.rule for finding in trail.findings() if finding.where == Locator(BUCKET, key)}


def test_an_overwritten_log_is_found_and_its_command_brings_it_back(trail: Trail) -> None:
    key = trail.logs[0]
    first = trail.version_of(key)
    second = trail.put(key, without_first_event(trail.get(key)))
    assert rules_of(trail, key) == {rules.LOG_ALTERED}

    seen = trail.witness(key)

    assert [(v.version_id, v.proven, v.is_latest) for v in seen.versions] == [
        (second, False, True),
        (first, True, False),
    ]
    assert seen.original is not None
    assert (seen.original.version_id, seen.original.last_modified) == (first, seen.versions[1].last_modified)
    assert seen.replaced_at == seen.versions[0].last_modified
    assert (seen.deleted_at, seen.note) == (None, None)
    assert isinstance(seen.changes, Changes)
    assert (seen.changes.verdict, seen.changes.counts.removed, seen.changes.counts.unchanged) == ("different", 1, 3)
    cut = json.loads(gzip.decompress(trail.get(key, first)))["Records"][0]
    assert [event.event_id for event in seen.changes.removed] == [cut["eventID"]]
    assert seen.restore_command is not None
    assert "copy-object" in seen.restore_command
    run_command(seen.restore_command)
    assert rules_of(trail, key) == {rules.LOG_REWRITTEN}


def test_a_deleted_digest_comes_back_by_removing_the_marker(trail: Trail) -> None:
    key = trail.digests[1]
    first = trail.version_of(key)
    marker = trail.delete(key)
    assert rules_of(trail, key) == {rules.DIGEST_MISSING}

    seen = trail.witness(key)

    assert [(v.version_id, v.proven, v.delete_marker, v.size is None) for v in seen.versions] == [
        (marker, None, True, True),
        (first, True, False, False),
    ]
    assert seen.deleted_at == seen.replaced_at == seen.versions[0].last_modified
    assert seen.restore_command is not None
    assert shlex.split(seen.restore_command)[2] == "delete-object"
    run_command(seen.restore_command)
    assert trail.version_of(key) == first
    assert rules_of(trail, key) == set()


def test_a_log_overwritten_and_then_deleted_is_copied_from_its_version(trail: Trail) -> None:
    key = trail.logs[-1]
    first = trail.version_of(key)
    time.sleep(1.1)  # LastModified has seconds
    trail.put(key, gzip.compress(b"{}"))
    time.sleep(1.1)
    trail.delete(key)
    time.sleep(1.1)
    trail.delete(key)

    seen = trail.witness(key)

    assert [v.proven for v in seen.versions] == [None, None, False, True]
    assert seen.original is not None
    assert seen.original.version_id == first
    assert seen.deleted_at == seen.versions[1].last_modified, "the second marker deleted nothing"
    assert seen.replaced_at == seen.versions[2].last_modified
    run_command(seen.restore_command)
    assert rules_of(trail, key) == {rules.LOG_REWRITTEN}


def test_a_digest_that_lost_its_signature_is_proven_by_its_older_version(trail: Trail) -> None:
    key = trail.digests[2]
    first, body = trail.version_of(key), trail.get(key)
    trail.put(key, body)  # the same content, the metadata gone

    seen = trail.witness(key)

    assert [v.proven for v in seen.versions] == [False, True]
    run_command(seen.restore_command)
    assert seen.original is not None
    assert seen.original.version_id == first
    assert rules_of(trail, key) == set()


def test_bytes_behind_the_member_make_another_object_of_a_log(trail: Trail) -> None:
    key = trail.logs[1]
    trail.put(key, trail.get(key) + gzip.compress(b'{"Records":[]}'))
    assert rules_of(trail, key) == {rules.LOG_TRAILING_DATA}
    assert [v.proven for v in trail.witness(key).versions] == [False, True]


def test_without_keys_a_digest_is_proven_only_by_what_its_successor_recorded(trail: Trail) -> None:
    key = trail.digests[1]
    where = Locator(BUCKET, key)
    seen = trail.witness(trail.logs[0])
    body = trail.get(key)
    trail.put(key, gzip.compress(b"{}"))
    no_keys = RegionKeys(cause=Cause.ACCESS_DENIED, detail="cloudtrail:ListPublicKeys in us-east-1: denied")
    missing = Finding(rules.DIGEST_MISSING, Status.MISSING, where=where)
    claimed = Finding(
        rules.DIGEST_LINK_BROKEN,
        Status.ALTERED,
        where=where,
        expected=sha256(gzip.decompress(body)).hexdigest(),
    )

    unknown = witness([missing], Aws(), lambda _: no_keys)[where]
    known = witness([missing, claimed], Aws(), lambda _: no_keys)[where]

    assert [v.proven for v in unknown.versions] == [False, None]
    assert unknown.original is None
    assert "ListPublicKeys in us-east-1: denied" in (unknown.note or "")
    assert [v.proven for v in known.versions] == [False, True]
    assert seen.original is not None


def test_an_extra_log_has_a_history_and_no_original(trail: Trail) -> None:
    key = trail.logs[0].replace("T0020Z_", "T0021Z_")
    trail.put(key, gzip.compress(b'{"Records":[]}'))
    seen = trail.witness(key)
    assert [v.proven for v in seen.versions] == [None]
    assert (seen.original, seen.restore_command) == (None, None)
    assert seen.note == "no digest names this log, so none of its versions can be proven"


def test_a_rewritten_log_needs_no_command(trail: Trail) -> None:
    key = trail.logs[0]
    first = trail.version_of(key)
    trail.put(key, trail.get(key))
    seen = trail.witness(key)
    assert [v.proven for v in seen.versions] == [True, True]
    assert seen.original is not None
    assert (seen.original.version_id, seen.restore_command, seen.note) == (first, None, None)
    assert seen.replaced_at == seen.versions[0].last_modified


def test_only_the_exact_key_is_looked_at(trail: Trail) -> None:
    key = trail.logs[0]
    trail.put(key + ".bak", b"x")
    trail.put(key + "/under", b"x")
    trail.put(key, gzip.compress(b"{}"))
    assert [v.proven for v in trail.witness(key).versions] == [False, True]


def test_a_flood_of_versions_cannot_bury_the_oldest(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    key = trail.logs[0]
    first = trail.version_of(key)
    for _ in range(30):
        trail.put(key, gzip.compress(b"{}"))
    findings = trail.findings()
    monkeypatch.setattr(versions, "PAGE", 7)
    monkeypatch.setattr(versions, "ENDS", 5)

    seen = witness(findings, Aws(), trail.keys)[Locator(BUCKET, key)]

    assert seen.original is not None
    assert seen.original.version_id == first
    assert [v.proven for v in seen.versions] == [False] * 9 + [True]
    assert seen.versions[0].is_latest
    assert seen.note == "21 of 31 versions, those in the middle, were not looked at"

    monkeypatch.setattr(versions, "MOST_PAGES", 2)
    cut = witness(findings, Aws(), trail.keys)[Locator(BUCKET, key)]
    assert cut.original is None
    assert (cut.note or "").endswith("there are still more versions, older than these, that were not listed")


def test_what_inflates_to_more_than_memory_is_hashed_in_pieces(aws: AwsServer, tmp_path: Path) -> None:
    trail = make_trail(aws.client("s3"), tmp_path)
    zeros, member = sha256(), zlib.compressobj(wbits=31)
    body = b""
    for _ in range(200):
        zeros.update(bytes(1_000_000))
        body += member.compress(bytes(1_000_000))
    trail.put("big.json.gz", body + member.flush())
    trail.put("big.json.gz", b"")
    where = Locator(BUCKET, "big.json.gz")
    finding = Finding(rules.LOG_ALTERED, Status.ALTERED, where=where, expected=zeros.hexdigest())
    login = Aws()
    tracemalloc.start()
    try:
        seen = witness([finding], login, trail.keys)[where]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [v.proven for v in seen.versions] == [False, True]
    assert isinstance(seen.changes, Changes)
    assert "inflates to more than" in (seen.changes.problem or "")
    assert peak < 50_000_000


def test_what_stands_in_for_a_log_and_is_none_is_said(trail: Trail) -> None:
    key = trail.logs[0]
    trail.put(key, b"gone")
    seen = trail.witness(key)
    assert isinstance(seen.changes, Changes)
    assert (seen.changes.verdict, seen.changes.removed) == ("different", ())
    assert seen.changes.problem is not None


def test_nothing_is_compared_where_nothing_stands_in_the_originals_place(trail: Trail) -> None:
    gone, rewritten = trail.logs[:2]
    trail.put(gone, without_first_event(trail.get(gone)))
    trail.delete(gone)
    trail.put(rewritten, trail.get(rewritten))
    assert trail.witness(gone).changes is UNSET
    assert trail.witness(rewritten).changes is UNSET


def test_an_archived_original_is_named_with_the_step_that_is_missing(trail: Trail) -> None:
    key = trail.logs[0]
    body, first = trail.get(key), trail.version_of(key)
    trail.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=first)
    archived = trail.put(key, body, StorageClass="GLACIER")
    trail.put(key, without_first_event(body))

    seen = trail.witness(key)

    assert [(v.proven, v.cause) for v in seen.versions] == [(False, None), (None, Cause.ARCHIVED)]
    assert seen.original is None
    assert f"--version-id {archived} --restore-request Days=7, then run again" in (seen.note or "")


@pytest.mark.parametrize(
    ("permission", "note"),
    [
        ("s3:ListBucketVersions", "versions are denied: allow s3:ListBucketVersions on the bucket"),
        ("s3:GetObjectVersion", "versions could not be read: allow s3:GetObjectVersion on the object"),
    ],
)
def test_what_is_denied_is_named(trail: Trail, aws: AwsServer, permission: str, note: str) -> None:
    key = trail.logs[0]
    trail.put(key, gzip.compress(b"{}"))
    findings = trail.findings()
    aws.denied.add(permission)
    seen = witness(findings, Aws(), trail.keys)[Locator(BUCKET, key)]
    assert seen.note == note
    assert seen.original is None
    assert all(v.cause is Cause.ACCESS_DENIED for v in seen.versions)


def test_a_bucket_without_versions_says_so(aws: AwsServer, tmp_path: Path) -> None:
    trail = make_trail(aws.client("s3"), tmp_path, versioned=False)
    gone, altered = trail.logs[0], trail.logs[1]
    trail.delete(gone)
    trail.put(altered, gzip.compress(b"{}"))
    findings = trail.findings()

    seen = witness(findings, Aws(), trail.keys)
    assert seen[Locator(BUCKET, gone)].note == "the bucket keeps no versions, so nothing is left"
    assert [v.proven for v in seen[Locator(BUCKET, altered)].versions] == [False]
    assert (seen[Locator(BUCKET, altered)].note or "").startswith("the bucket keeps no versions, so there is only")

    aws.denied.add("s3:GetBucketVersioning")
    again = witness(findings, Aws(), trail.keys)
    assert "allow s3:GetBucketVersioning" in (again[Locator(BUCKET, gone)].note or "")


def missing(bucket: str, key: str) -> Finding:
    """A log that is gone and whose hash its digest holds."""
    return Finding(rules.LOG_MISSING, Status.MISSING, where=Locator(bucket, key), expected=HASH)


def test_versions_deleted_for_good_are_told_from_a_bucket_that_keeps_none(trail: Trail) -> None:
    key = trail.logs[0]
    findings = [missing(BUCKET, key)]
    trail.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=trail.version_of(key))
    seen = witness(findings, Aws(), trail.keys)[Locator(BUCKET, key)]
    assert seen.note == "no version is left: they were deleted for good, or expired"


def test_objects_beyond_the_limit_and_out_of_reach_have_a_note(trail: Trail) -> None:
    findings = [
        missing("amzn-s3-demo-no-such-bucket", "a"),
        missing("", "a"),
        missing("not a bucket\x1b[2J", "a"),
        missing(BUCKET, "b"),
    ]
    notes = [seen.note or "" for seen in witness(findings, Aws(), trail.keys, limit=3).values()]
    assert notes[0] == "there is no bucket amzn-s3-demo-no-such-bucket"
    assert notes[1] == "a local copy has no versions: look at the bucket itself"
    assert "could not be listed" in notes[2]
    assert "\x1b" not in notes[2]
    assert notes[3] == "not looked at: only the first 3 objects of a run are"
