"""The benchmarks still run, and their responder answers as S3 and CloudTrail do. No test asserts a time."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from gzip import decompress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import boto3
import pytest
from botocore.exceptions import ClientError

from benchmarks import (
    cost,
    first_finding,
    large,
    local,
    memory,
    organization,
    remembered,
    scaling,
    schedule,
    search,
    startup,
    trail,
)
from benchmarks.harness import Sample, WorkError, environment, run
from benchmarks.plan import BUCKET, OWNER, Plan, Served
from benchmarks.server import serving
from benchmarks.validation import percent, steady, validate
from cloudtrail_validate.runtime.limits import cores

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Backend = Literal["simulated", "made-up"]
HOURS, LOGS, REGIONS, ACCOUNTS = 3, 14, 17, 2


@pytest.fixture(scope="module", params=["simulated", "made-up"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    backend: Backend = request.param
    altered = ((1, 3),) if backend == "made-up" else ()
    plan = Plan(
        objects=backend,
        hours=HOURS,
        logs_per_hour=LOGS,
        accounts=ACCOUNTS,
        regions=REGIONS,
        events=(2,),
        altered=altered,
    )
    with serving(plan) as ready:
        yield ready


def client(served: Served, service: str = "s3") -> Any:
    env = environment(served.endpoint)
    return boto3.client(
        service,  # type: ignore[call-overload]  # any service by name
        endpoint_url=served.endpoint,
        region_name="us-east-1",
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )


def listed(s3: S3Client, operation: Literal["list_objects", "list_objects_v2"], prefix: str = "") -> dict[str, int]:
    pages = s3.get_paginator(operation).paginate(Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 7})
    return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}


def test_every_way_of_listing_shows_the_same_keys_in_order(served: Served) -> None:
    s3 = client(served)
    keys = listed(s3, "list_objects_v2")
    assert len(keys) == ACCOUNTS * (HOURS * LOGS + REGIONS * (HOURS + 1))
    assert list(keys) == sorted(keys)
    assert listed(s3, "list_objects") == keys
    assert listed(s3, "list_objects_v2", f"AWSLogs/o-exampleorgid/{OWNER}/CloudTrail/us-east-1/2026/03/02/") == {}
    some = list(keys)[20]
    behind = s3.list_objects_v2(Bucket=BUCKET, StartAfter=some)["Contents"]
    assert [item["Key"] for item in behind] == list(keys)[21 : 21 + len(behind)]


def test_folders_are_listed_one_level_at_a_time(served: Served) -> None:
    s3 = client(served)
    account = f"AWSLogs/o-exampleorgid/{OWNER}/"
    for operation, size in ((s3.list_objects_v2, 1000), (s3.list_objects_v2, 1), (s3.list_objects, 1000)):
        level = operation(Bucket=BUCKET, Prefix=account, Delimiter="/", MaxKeys=size)
        folders = [item["Prefix"] for item in level["CommonPrefixes"]]
        assert folders == [f"{account}CloudTrail-Digest/", f"{account}CloudTrail/"][:size]
        assert level["IsTruncated"] is (size == 1)
    pages = s3.get_paginator("list_objects").paginate(
        Bucket=BUCKET, Prefix=account, Delimiter="/", PaginationConfig={"PageSize": 1}
    )
    assert [item["Prefix"] for page in pages for item in page["CommonPrefixes"]] == [
        f"{account}CloudTrail-Digest/",
        f"{account}CloudTrail/",
    ]


def test_digests_name_the_logs_that_lie_there(served: Served) -> None:
    s3 = client(served)
    keys = listed(s3, "list_objects_v2")
    different = []
    for key in [key for key in keys if "CloudTrail-Digest" in key]:
        answer = s3.get_object(Bucket=BUCKET, Key=key)
        body = answer["Body"].read()
        assert len(body) == keys[key]
        assert set(answer["Metadata"]) == {"signature", "signature-algorithm"}
        for log in json.loads(decompress(body))["logFiles"]:
            content = s3.get_object(Bucket=BUCKET, Key=log["s3Object"])["Body"].read()
            assert len(content) == keys.pop(log["s3Object"])
            assert json.loads(decompress(content))["Records"]
            if hashlib.sha256(decompress(content)).hexdigest() != log["hashValue"]:
                different.append(log["s3Object"])
        del keys[key]
    assert keys == {}
    assert len(different) == len(served.plan.altered)
    assert all(key.endswith("_0000010000000003.json.gz") for key in different)


def test_a_part_of_an_object_is_what_was_asked_for(served: Served) -> None:
    s3 = client(served)
    key, size = next(iter(listed(s3, "list_objects_v2").items()))
    whole = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    for asked, part in (("0-9", whole[:10]), ("5-", whole[5:]), (f"10-{size}", whole[10:])):
        answer = s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={asked}")
        assert answer["Body"].read() == part
        assert answer["ContentRange"].endswith(f"/{size}")
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={size}-")
    assert refused.value.response["Error"]["Code"] == "InvalidRange"


@pytest.mark.parametrize("key", ["nothing", "a/b_CloudTrail_c_0000000000000001.json.gz"])
def test_what_is_not_there_is_said_to_be_absent(served: Served, key: str) -> None:
    with pytest.raises(ClientError) as refused:
        client(served).get_object(Bucket=BUCKET, Key=key)
    assert refused.value.response["Error"]["Code"] == "NoSuchKey"


def test_the_bucket_and_the_control_plane_answer(served: Served) -> None:
    s3, cloudtrail = client(served), client(served, "cloudtrail")
    assert s3.head_bucket(Bucket=BUCKET)["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    some = next(iter(listed(s3, "list_objects_v2")))
    assert s3.head_object(Bucket=BUCKET, Key=some)["Metadata"]["signature-algorithm"] == "SHA256withRSA"
    (described,) = cloudtrail.describe_trails()["trailList"]
    assert described == cloudtrail.get_trail(Name=served.plan.trail_arn)["Trail"]
    assert (described["S3BucketName"], described["IsOrganizationTrail"]) == (BUCKET, True)
    assert cloudtrail.get_trail_status(Name=served.plan.trail_arn)["LatestDigestDeliveryTime"] > served.plan.end
    (key,) = cloudtrail.list_public_keys()["PublicKeyList"]
    assert hashlib.md5(key["Value"], usedforsecurity=False).hexdigest() == key["Fingerprint"]
    assert client(served, "sts").get_caller_identity()["Account"] == OWNER


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("organizations", lambda api: api.list_accounts()),
        ("ec2", lambda api: api.describe_regions()),
        ("account", lambda api: api.list_regions()),
        ("cloudtrail", lambda api: api.list_trails()),
    ],
)
def test_other_calls_are_refused(served: Served, service: str, call: Callable[[Any], object]) -> None:
    with pytest.raises(ClientError):
        call(client(served, service))


def test_a_contender_that_did_not_prove_everything_does_not_count() -> None:
    plan = Plan(objects="made-up", hours=2, logs_per_hour=3, events=(1,), altered=((0, 1),))
    with serving(plan) as ready, pytest.raises(WorkError, match="exit code"):
        validate(ready)


def test_start_up_is_taken_off_where_the_rounds_allow_it() -> None:
    def taking(*seconds: float) -> list[Sample]:
        return [Sample(one, 0.0, 0, 0, b"", b"") for one in seconds]

    # The second half takes 3 - 1 = 2 s, of which the bare loop needs 1 s.
    assert steady(taking(3, 9, 3), taking(1, 1, 5), taking(2, 2, 2), 0.5) == 0.5
    assert percent(0.5) == "50%"
    assert steady(taking(1), taking(2), taking(1), 0.5) is None
    assert percent(None) == "too noisy to tell"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody hands orphans over")
def test_the_time_of_processes_that_a_command_leaves_behind_counts() -> None:
    child = "import time\nwhile time.process_time() < 0.5: pass"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    sample = run([sys.executable, "-c", parent], environment())
    assert sample.cpu >= 0.5


def test_a_responder_over_tls_is_trusted_and_counts() -> None:
    plan = Plan(objects="made-up", hours=2, logs_per_hour=40, events=(1,), tls=True)
    with serving(plan) as ready:
        validate(ready)
        assert cost.counted(ready).requests > plan.logs


def test_plans_that_cannot_be_served_are_refused() -> None:
    with pytest.raises(ValueError, match="logs-per-hour"):
        memory.plan_of(1_000_000, 10)
    for wrong in ({"regions": 99}, {"hours": 0}, {"events": ()}):
        with pytest.raises(ValueError, match="expected"):
            Plan(**wrong)


@pytest.mark.parametrize(
    ("main", "arguments", "rows"),
    [
        (
            trail.main,
            "--hours 2 --logs-per-hour 5 --latency 0 0.001 --tasks 4",
            ["ctvalidate", "aws-cli", "ratio", "bare loop", "fraction", "once started"] * 2,
        ),
        (
            cost.main,
            "--hours 2 --few 5 --many 20 --accounts 2 --short 1 --long 2 --wide 2",
            ["ctvalidate, median", "ctvalidate, least"],
        ),
        (
            local.main,
            "--hours 2 --logs-per-hour 5",
            ["ctvalidate", "bare loop, threads", "bare loop, processes", "fraction", "once started"],
        ),
        (
            large.main,
            "--hours 2 --logs 2 --events 900 2000",
            ["ctvalidate", "one core", "ratio", "ratio once started"],
        ),
        (
            scaling.main,
            "--hours 2 --logs-per-hour 20 --copied 10 --events 5 --sizes 8 40",
            [
                *(f"local:{number}" for number in scaling.steps(cores())),
                *(f"{number} cores" if number > 1 else "1 core" for number in scaling.steps(cores())),
                *("8", "40"),
            ],
        ),
        (
            schedule.main,
            "--accounts 3 --hours 48 --logs 1000 --parts 1 7 --merge 60",
            ["if nothing were lost", "1 parts", "7 parts"],
        ),
        (memory.main, "--logs 10 30 --logs-per-hour 10", ["10", "30"]),
        (
            organization.main,
            "--accounts 2 --regions 17 --hours 2 --busy-logs 5",
            ["organization", "busy trail", "ratio per object"],
        ),
        (
            remembered.main,
            "--days 1 --logs 1 --accounts 2",
            ["full run", "full run that begins a memory", "nothing new"],
        ),
        (
            startup.main,
            "",
            ["python -c pass", "ctvalidate --help", "ctvalidate --version", "aws --version"],
        ),
        (
            search.main,
            "--hours 2 --logs-per-hour 20 --events 4",
            [
                *("validation alone", "an event that is nowhere", "30 events by id", "three questions with names"),
                *("an address", "JMESPath with a literal", "an event in every log", "all events, by principal"),
            ],
        ),
        (
            first_finding.main,
            "--hours 2 --logs-per-hour 5 --latency 0",
            ["altered log of the newest hour named", "altered log of the oldest hour named", "end of the command"],
        ),
    ],
    ids=[
        "trail",
        "cost",
        "local",
        "large",
        "scaling",
        "schedule",
        "memory",
        "organization",
        "remembered",
        "startup",
        "search",
        "first_finding",
    ],
)
def test_it_measures_and_appends_a_page(
    main: Callable[[list[str]], None],
    arguments: str,
    rows: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = tmp_path / "results.md"
    results.write_text("before\n", encoding="utf-8")
    main([*arguments.split(), "--runs", "1", "--append", str(results)])
    page = capsys.readouterr().out
    assert results.read_text(encoding="utf-8") == f"before\n{page}"
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    rules = {index for index, row in enumerate(table) if set("".join(row)) <= set("-:")}
    body = [row for index, row in enumerate(table) if not {index, index + 1} & rules]
    names = [row[0].rpartition(" ms: ")[2] for row in body]
    assert names == rows
    assert all(re.search("[0-9]", "".join(row[1:])) for row in body if "once started" not in row[0])
