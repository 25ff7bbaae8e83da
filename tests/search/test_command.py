"""`ctvalidate search`: what is found, what vouches for it, and the exit code of the validation."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from py_ocsf_models.events.findings.detection_finding import DetectionFinding  # type: ignore[import-untyped]  # it has no types

from tests.cli.helpers import call
from tests.search.events import event, log
from tests.search.kit import SPEC, Trail, ids, make_trail

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer


SCHEMAS = Path(__file__).parents[1] / "report" / "schemas"


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return make_trail(tmp_path)


def test_every_event_of_a_whole_trail_is_proven_by_the_digest_that_names_its_log(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = trail.lines(capsys)
    assert code == 0
    written = {event["eventID"]: (trail.key(path), event) for path in trail.logs for event in trail.events(path)}
    assert ids(found) == sorted(written)
    digests = {
        trail.key(path): json.loads(gzip.decompress(path.read_bytes()))
        for path in trail.tree.rglob("*.json.gz")
        if "CloudTrail-Digest" in path.parts
    }
    for line in found:
        proof = line.pop("proof")
        key, held = written[line["eventID"]]
        assert proof["status"] == "proven"
        assert proof["log"] == key
        assert key in [named["s3Object"] for named in digests[proof["digest"]]["logFiles"]]
        assert line == held
    assert [line["eventTime"] for line in found] == sorted(line["eventTime"] for line in found)


def test_filters_of_the_command_line_are_those_of_the_query(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    every = [event for path in trail.logs for event in trail.events(path)]
    asked: list[tuple[list[str], Any]] = [
        (["--event", "Start*", "--event", "Decrypt"], lambda e: e["eventName"] in ("StartInstances", "Decrypt")),
        (["--event-source", "ec2", "--write-only"], lambda e: e["eventName"] == "StartInstances"),
        (["--source", "ec2.amazonaws.com", "--write-only"], lambda e: e["eventName"] == "StartInstances"),
        (
            ["--source=s3.amazonaws.com", "--read-only"],
            lambda e: e["eventSource"] == "s3.amazonaws.com" and e["readOnly"],
        ),
        (["--read-only"], lambda e: e["readOnly"]),
        (["--user", "operator"], lambda e: e["userIdentity"].get("userName") == "operator"),
        (["--access-key", "AKIAIOSFODNN7EXAMPLE"], lambda e: "AKIA" in e["userIdentity"].get("accessKeyId", "")),
        (["--ip", "203.0.113.0/24"], lambda e: e["sourceIPAddress"].startswith("203.0.113.")),
        (["--resource", "nightly-report"], lambda e: "nightly-report" in json.dumps(e["requestParameters"])),
        (["--error", "*"], lambda e: "errorCode" in e),
        (["--use", "denied", "--use", "instances"], lambda e: e["eventName"] in ("StartInstances", "GetSecretValue")),
        (["--where", "userIdentity.type=='IAMUser' && errorCode"], lambda e: e["eventName"] == "GetSecretValue"),
        (["--event-id", every[3]["eventID"]], lambda e: e["eventID"] == every[3]["eventID"]),
        (["--event", "Decrypt", "--user", "operator"], lambda _: False),
    ]
    for options, test in asked:
        code, found = trail.lines(capsys, *options)
        assert (code, ids(found)) == (0, ids(e for e in every if test(e))), options


@pytest.mark.parametrize(
    "tamper",
    [
        *("log-altered", "log-trailing-data", "log-malformed", "log-extra", "log-undigested", "log-pending"),
        *("digest-missing", "digest-malformed", "log-rewritten", "gap-broken"),
    ],
)
def test_events_that_nobody_vouches_for_are_shown_with_the_rule(
    tamper: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = make_trail(tmp_path, tamper, spec=replace(SPEC, hours=8))
    validated = call(capsys, *trail.scope, "--format", "json")
    got, found = trail.lines(capsys)
    assert got == validated.code
    rules = {finding["key"]: finding["rule"] for finding in json.loads(validated.out)["findings"] if finding["key"]}
    unproven = [line["proof"] for line in found if line["proof"]["status"] == "unproven"]
    assert unproven or tamper in ("log-malformed", "log-rewritten", "digest-malformed", "digest-missing")
    for proof in unproven:
        assert "digest" not in proof
        assert rules[proof["log"]] == proof["rule"]
    logs_of = {line["proof"]["log"] for line in found}
    readable = {trail.key(path) for path in trail.logs if b"Records" in inflated(path)}
    assert readable <= logs_of
    _, proven = trail.lines(capsys, "--proven-only")
    assert ids(proven) == ids(line for line in found if line["proof"]["status"] == "proven")


def inflated(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError):
        return b""


@pytest.mark.parametrize(
    "content",
    [
        log(event(eventName="Planted")),  # plain, no gzip
        gzip.compress(log(event(eventName="Planted"))),
        gzip.compress(log(event(eventName="Planted")))[:-6],
        gzip.compress(log()) + gzip.compress(log(event(eventName="Planted"))),
        gzip.compress(log()) + log(event(eventName="Planted")),
        gzip.compress(log()) + gzip.compress(b"") * 3 + gzip.compress(log(event(eventName="Planted"))),
        gzip.compress(
            b'{"Records":[{"a":1}],"Records":[]}'.replace(b'{"a":1}', log(event(eventName="Planted"))[12:-2])
        ),
        gzip.compress(
            json.dumps({"Records": [event(eventName="Planted")]}).replace("Planted", "\\u0050lanted").encode()
        ),
    ],
)
def test_whatever_lies_in_a_logs_place_is_searched(
    content: bytes, trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trail.logs[2]
    path.write_bytes(content)
    code, found = trail.lines(capsys, "--event", "Planted")
    assert code == 1
    ((line),) = found
    assert line["proof"]["status"] == "unproven"
    assert line["proof"]["rule"] in ("log-altered", "log-malformed")
    assert line["proof"]["log"] == trail.key(path)


def test_no_event_can_vouch_for_itself(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    forged = event(eventName="Planted", proof={"status": "proven", "digest": "x"}, matched={"sigma": []})
    trail.write(trail.logs[0], log(forged))
    code, found = trail.lines(capsys, "--event", "Planted")
    assert code == 1
    assert found[0]["proof"]["status"] == "unproven"
    assert found[0]["event.proof"] == {"status": "proven", "digest": "x"}
    answer = trail.search(capsys, "--event", "Planted", "--format", "jsonl")
    assert answer.out.startswith('{"proof":{"status":"unproven"')


HOSTILE = "\x1b[31m<script>alert(1)</script>\r\n=cmd|'/c calc'!A1\u202e\ud800 [x](http://x) {0}"


@pytest.mark.parametrize("format_", ["table", "csv", "html", "sarif", "ocsf", "jsonl"])
def test_hostile_strings_act_nowhere(
    format_: str, trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"eventName": HOSTILE, "userAgent": HOSTILE, "errorCode": HOSTILE, "sourceIPAddress": HOSTILE}
    hostile = event(**fields, eventID=HOSTILE, eventTime=HOSTILE, awsRegion=HOSTILE, userIdentity={"arn": HOSTILE})
    data = json.dumps({"Records": [hostile]}).encode()
    trail.write(trail.logs[0], data)
    answer = trail.search(
        capsys, "--where", "starts_with(eventName, 'x') || contains(eventName, 'alert')", "--format", format_
    )
    assert answer.code == 1
    assert "alert(1)" in answer.out or "\\u001b" in answer.out
    assert not set("\x1b\u202e") & set(answer.out)
    if format_ == "html":
        assert "<script" not in answer.out
    if format_ == "csv":
        (_, *rows) = csv.reader(io.StringIO(answer.out))
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    if format_ == "sarif":
        schema = json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text())
        jsonschema.Draft4Validator(schema).validate(json.loads(answer.out))
        assert len(json.loads(answer.out)["runs"][0]["results"]) == 1
    if format_ == "ocsf":
        (found,) = json.loads(answer.out)
        DetectionFinding.model_validate(found)


def test_spreadsheets_run_no_cell(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    trail.write(trail.logs[0], log(event(eventName="=1+1", userAgent="+2", errorCode="@3", awsRegion=" -4")))
    answer = trail.search(capsys, "--event", "=1*", "--format", "csv")
    header, row = csv.reader(io.StringIO(answer.out))
    cells = dict(zip(header, row, strict=True))
    assert [cells[name] for name in ("EventName", "UserAgent", "ErrorCode", "AWS-Region")] == [
        "'=1+1",
        "'+2",
        "'@3",
        "' -4",
    ]


def test_what_cannot_be_read_is_named_and_turns_success_into_unproven(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    where = "[@,@]" + "|[@,@]" * 40 + "|to_string(@)"
    answer = trail.search(capsys, "--where", where, "--format", "jsonl")
    assert answer.code == 3
    assert "not searched" in answer.err
    trail.write(trail.logs[0], b'{"Records":[{"eventName":"StopLogging",nonsense}]}')
    answer = trail.search(capsys, "--event", "StopLogging", "--format", "jsonl")
    assert answer.code == 1
    assert answer.out == ""
    assert "not searched: " + trail.key(trail.logs[0]) in answer.err


def test_a_log_of_many_megabytes_is_searched_in_pieces(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    many = [event(eventName="Big", eventID=f"{number:032x}", userAgent="x" * 1_000) for number in range(10_000)]
    huge = event(eventName="Big", eventID="huge", userAgent="y" * 5_000_000)
    trail.write(trail.logs[0], log(huge, *many))
    answer = trail.search(capsys, "--event", "Big", "--format", "jsonl")
    assert answer.code == 1
    assert len(answer.out.splitlines()) == len(many)
    assert "1 × too large to be an event" in answer.err


def test_a_search_that_finds_nothing_exits_as_the_validation(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = trail.search(capsys, "--event", "NoSuchEvent")
    assert answer.code == 0
    assert "No event found in 6 logs" in answer.out
    trail.logs[0].unlink()
    assert trail.search(capsys, "--event", "NoSuchEvent").code == 1


def test_nothing_there_is_exit_4_though_logs_without_digests_are_searched(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in trail.tree.rglob("*"):
        if "CloudTrail-Digest" in path.parts and path.is_file():
            path.unlink()
    code, found = trail.lines(capsys, "--event", "Decrypt")
    assert code == 4
    assert {line["proof"]["rule"] for line in found} == {"log-undigested"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--read-only", "--write-only"], "expected one of them"),
        (["--ip", "nowhere"], "--ip"),
        (["--where", "a ||"], "--where"),
        (["--use", "root"], "did you mean root-use"),
        (["-o", "events.txt"], "--output"),
        (["--summary", "--format", "html"], "--summary"),
        (["--summary", "--timeline", "x.html"], "--timeline"),
    ],
)
def test_what_cannot_be_meant_is_exit_2(
    options: list[str], says: str, trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = trail.search(capsys, *options)
    assert answer.code == 2
    assert says in answer.err


def test_the_filter_of_services_is_told_apart_from_the_local_copy(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "search", "--source", "s3.amazonaws.com", "--last", "1h")
    assert answer.code == 2
    assert answer.line.endswith("what to validate: expected --trail-arn, --s3-bucket or --source")


def test_the_summary_tells_who_did_what(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = trail.search(capsys, "--summary", "--format", "jsonl")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    every = [event for path in trail.logs for event in trail.events(path)]
    assert sum(line["calls"] for line in lines) == len(every)
    operator = next(line for line in lines if line["principal"].endswith("user/operator"))
    own = [e for e in every if e["userIdentity"].get("userName") == "operator"]
    assert operator["calls"] == operator["calls_proven"] == len(own)
    assert operator["first_seen"] == min(e["eventTime"] for e in own)
    assert operator["last_seen"] == max(e["eventTime"] for e in own)
    assert operator["failed"] == {"secretsmanager:GetSecretValue": sum("errorCode" in e for e in own)}
    assert set(operator["addresses"]) == {e["sourceIPAddress"] for e in own}
    table = trail.search(capsys, "--summary", "--show", "all").out
    assert "user/operator" in table
    assert trail.search(capsys, "--summary", "--format", "csv").out.startswith("principal,type,account")


def test_files_are_written_by_their_ending(trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["a.jsonl", "a.csv", "a.html", "a.sarif", "a.ocsf.json"]
    outputs = [part for name in names for part in ("-o", str(tmp_path / name))]
    answer = trail.search(capsys, *outputs, "--timeline", str(tmp_path / "t.html"), "--event", "Decrypt")
    assert answer.code == 0
    number = len((tmp_path / "a.jsonl").read_text().splitlines())
    assert number > 0
    assert len((tmp_path / "a.csv").read_text().splitlines()) == number + 1
    assert len(json.loads((tmp_path / "a.sarif").read_text())["runs"][0]["results"]) == number
    assert len(json.loads((tmp_path / "a.ocsf.json").read_text())) == number
    assert (tmp_path / "t.html").read_text().count("<tr>") == number + 1
    assert trail.search(capsys, "-o", str(trail.logs[0].with_name("x.csv"))).code == 2


def test_an_organization_in_a_bucket(aws: AwsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cloudtrail_validate.simulate import S3Sink, TrailSpec, simulate
    from tests.simulate.helpers import same_keys

    spec = TrailSpec(
        bucket=SPEC.bucket,
        hours=6,
        logs_per_hour=1,
        events_per_log=6,
        accounts=("111122223333", "444455556666"),
        regions=("us-east-1", "eu-west-1"),
        organization_id="o-exampleorgid",
    )
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=spec.bucket)
    simulation = simulate(spec, S3Sink(spec.bucket, s3, threads=4), ("log-altered",), new_key=same_keys())
    keys = tmp_path / "keys.json"
    keys.write_text(simulation.keys.as_json())
    manifest = simulation.manifest
    window = [
        "--start-time",
        f"{manifest.start:%Y-%m-%dT%H:%M:%SZ}",
        "--end-time",
        f"{manifest.end:%Y-%m-%dT%H:%M:%SZ}",
    ]
    scope = ["--s3-bucket", spec.bucket, "--public-keys", str(keys), *window]
    answer = call(capsys, "search", *scope, "--format", "jsonl")
    assert answer.code == 1
    found = [json.loads(line) for line in answer.out.splitlines()]
    assert {line["recipientAccountId"] for line in found} == {"111122223333", "444455556666"}
    assert {line["awsRegion"] for line in found} >= {"us-east-1", "eu-west-1"}
    assert {line["proof"].get("rule") for line in found} == {None, "log-altered"}
    assert {line["proof"]["bucket"] for line in found} == {spec.bucket}
    one = call(capsys, "search", *scope, "--account-id", "444455556666", "--region", "eu-west-1", "--format", "jsonl")
    assert {json.loads(line)["recipientAccountId"] for line in one.out.splitlines()} == {"444455556666"}


def test_a_snapshot_is_searched_as_it_lies_there(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = call(capsys, "snapshot", *trail.scope, "--to", str(tmp_path / "shot"))
    assert taken.code == 0
    answer = call(capsys, "search", "--source", str(tmp_path / "shot"), *trail.window, "--format", "jsonl")
    assert answer.code == 0
    found = [json.loads(line) for line in answer.out.splitlines()]
    assert ids(found) == ids(event for path in trail.logs for event in trail.events(path))
    assert {line["proof"]["status"] for line in found} == {"proven"}
