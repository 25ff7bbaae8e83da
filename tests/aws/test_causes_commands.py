"""Every command names what stood in its way, once, on one line: the doctor, merge, keys export and the others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.aws.kit import EXPIRED, REGION, everywhere
from tests.aws.test_ways_in import BUCKET
from tests.cli.helpers import Answer, finish, start
from tests.faults.helpers import Trail
from tests.servers.internet import Internet, api_error

if TYPE_CHECKING:
    from pathlib import Path

WHAT_STANDS_IN_EVERY_WAY = {
    "expired": ("the credentials have expired", 2),
    "certificate": ("the certificate is not trusted", 2),
    "proxy": ("the proxy does not let it through", 3),
}


@pytest.mark.parametrize("what", WHAT_STANDS_IN_EVERY_WAY)
@pytest.mark.parametrize("by_trail", [True, False], ids=["trail", "bucket"])
def test_the_doctor_says_once_what_stands_in_every_way(
    net: Internet, trail: Trail, monkeypatch: pytest.MonkeyPatch, what: str, by_trail: bool
) -> None:
    if what == "expired":
        net.answers.append(EXPIRED)
    elif what == "certificate":
        monkeypatch.delenv("AWS_CA_BUNDLE")
    else:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    told, code = WHAT_STANDS_IN_EVERY_WAY[what]
    which = ["--trail-arn", trail.arn] if by_trail else ["--s3-bucket", BUCKET]
    answer = finish(start("doctor", *which, env=dict(os.environ)))
    assert (answer.code, answer.out) == (code, "")
    assert told in answer.line
    assert answer.line.count(told) == 1
    assert "Missing permissions" not in answer.err


OBJECTS_OF_ONE_S_OWN = {
    "state": ("--s3-bucket", BUCKET, "--last", "24h", "--state", f"s3://{BUCKET}/trail.state"),
    "state show": ("state", "show", f"s3://{BUCKET}/trail.state"),
    "merge": ("merge", f"s3://{BUCKET}/1.part"),
    "merge of a folder": ("merge", f"s3://{BUCKET}/parts/"),
    "fetch-signatures": ("fetch-signatures", BUCKET, "."),
}


@pytest.mark.parametrize("words", OBJECTS_OF_ONE_S_OWN.values(), ids=OBJECTS_OF_ONE_S_OWN)
def test_objects_of_one_s_own_are_refused_by_their_cause(
    net: Internet, trail: Trail, tmp_path: Path, words: tuple[str, ...]
) -> None:
    net.answers.append(EXPIRED)
    answer = finish(start(*words, env=dict(os.environ), cwd=tmp_path))
    assert (answer.code, answer.out) == (2, "")
    assert "the credentials have expired" in answer.line
    assert "internal error" not in answer.line


def test_an_object_of_one_s_own_that_is_not_there(net: Internet, trail: Trail) -> None:
    object_ = finish(start("merge", f"s3://{BUCKET}/1.part", env=dict(os.environ)))
    assert (object_.code, object_.line) == (
        2,
        f"ctvalidate: cannot read s3://{BUCKET}/1.part: there is no such object",
    )
    bucket = finish(start("merge", "s3://amzn-s3-demo-no-bucket/parts/", env=dict(os.environ)))
    assert bucket.line == "ctvalidate: cannot list s3://amzn-s3-demo-no-bucket/parts/: there is no such bucket"


def test_a_login_that_ends_amid_fetch_signatures_is_told_once(net: Internet, trail: Trail, tmp_path: Path) -> None:
    for key in trail.digests:
        place = tmp_path / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
    net.answers.append(lambda visit: EXPIRED(visit) if visit.path.endswith(".json.gz") else None)
    answer = finish(start("fetch-signatures", BUCKET, str(tmp_path), env=dict(os.environ)))
    assert (answer.code, answer.out) == (2, "")
    assert "the credentials have expired" in answer.line  # one line, not one a digest


def ask(trail: Trail, *arguments: str) -> Answer:
    return finish(start("--s3-bucket", BUCKET, *trail.times(), *arguments, env=dict(os.environ)))


def test_keys_export_says_it_once(net: Internet, trail: Trail) -> None:
    net.answers.append(everywhere("ExpiredTokenException", "The token has expired."))
    answer = finish(start("keys", "export", "--last", "24h", env=dict(os.environ)))
    assert answer.code == 2
    assert "cannot ask for keys: the credentials have expired" in answer.line
    assert len(net.hosts("cloudtrail")) == 1


def test_keys_export_groups_regions_by_what_they_said(net: Internet, trail: Trail) -> None:
    net.answers.append(
        lambda visit: (
            None
            if visit.place.service != "cloudtrail" or visit.place.region in (REGION, "us-east-1")
            else api_error(400, "AccessDeniedException", "No.")
        )
    )
    answer = finish(
        start("keys", "export", "--start-time", "2026-03-07", "--end-time", "2026-03-08", env=dict(os.environ))
    )
    assert answer.code == 0
    left_out, summary = answer.err.splitlines()
    assert left_out.startswith("ctvalidate: left out ")
    assert " more: access denied: allow cloudtrail:ListPublicKeys" in left_out
    assert summary == "ctvalidate: 1 key of 2 regions"
    assert len(net.hosts("cloudtrail")) > 20


def test_the_command_ends_with_one_line_and_no_traceback(net: Internet, trail: Trail) -> None:
    net.answers.append(EXPIRED)
    answer = ask(trail)
    assert (answer.code, answer.out) == (2, "")
    assert answer.line.startswith("ctvalidate: ")
    assert "the credentials have expired" in answer.line
