"""Log files with events of several services: quick to make, and the same for the same seed.

Sources: AWS CloudTrail User Guide, "CloudTrail record contents" and the example log entries of the services named. All
identifiers are those that AWS documents for examples; addresses are from the documentation ranges of RFC 5737.
"""

from __future__ import annotations

import hashlib
import json
import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from isal import igzip

from cloudtrail_validate.simulate import naming
from cloudtrail_validate.simulate.spec import LATE_BY, AccountRegion, TrailSpec

if TYPE_CHECKING:
    from cloudtrail_validate.core.model import Interval

_ALPHANUMERIC = string.ascii_letters + string.digits
_NAME_GRID = timedelta(minutes=5)  # names of real logs are full five minutes (FORMAT: listing of a real bucket)
# Rounded down to the grid after adding one of these, a name lies -262 … +200 s from the delivery (FORMAT: Keys).
_NAME_LEADS = (100, 180, 260)
_COMPRESSION = 2  # of isal's 0 … 3
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_AGENTS = (
    "aws-cli/2.22.12 md/awscrt#0.23.4 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.12.6",
    "Boto3/1.35.71 md/Botocore#1.35.71 ua/2.0 os/linux#6.1.115 md/arch#aarch64 lang/python#3.11.10",
    "APN/1.0 Terraform/1.9.8 aws-sdk-go-v2/1.32.5 ua/2.1 os/linux lang/go#1.23.3",
    "console.amazonaws.com",
)


@dataclass(frozen=True, slots=True)
class LogFile:
    """A delivered log file. `sha256` is over the inflated content; `oldest` and `newest` are event times."""

    key: str
    body: bytes
    sha256: str
    delivered: datetime
    oldest: datetime
    newest: datetime


def generator(spec: TrailSpec, *what: object) -> random.Random:
    """A random generator that the seed and `what` decide."""
    return random.Random("/".join(map(str, (spec.seed, *what))))


def hourly_logs(
    spec: TrailSpec, site: AccountRegion, hour: int, span: Interval, *, stops: bool = False, starts: bool = False
) -> tuple[LogFile, ...]:
    """The logs that a site delivers within `span`, its hour with that index, by time of delivery.

    Where the chain `stops` after this hour or `starts` anew with it, a log of the trail's home region tells who did that.
    """
    rng = generator(spec, "logs", *site, hour)
    count = spec.log_count(site, hour)
    seconds = sorted(rng.randrange(10, 3590) for _ in range(count))
    doings: dict[int, str] = {}
    if site == (spec.owner, spec.home):
        doings = ({0: "StartLogging"} if starts else {}) | ({count - 1: "StopLogging"} if stops else {})
    return tuple(
        make_log(spec, site, rng, span.start + timedelta(seconds=second), doing=doings.get(index))
        for index, second in enumerate(seconds)
    )


def late_log(spec: TrailSpec, site: AccountRegion, hour: int, span: Interval) -> LogFile:
    """A log of that hour by name and events, delivered `LATE_BY` after the hour's end."""
    rng = generator(spec, "late", *site, hour)
    return make_log(spec, site, rng, span.end + LATE_BY, named=span.start + timedelta(minutes=30))


def make_log(
    spec: TrailSpec,
    site: AccountRegion,
    rng: random.Random,
    delivered: datetime,
    *,
    named: datetime | None = None,
    doing: str | None = None,
) -> LogFile:
    """Make one log file, delivered then and named after `named` (default: as CloudTrail would name it).

    `doing` is an event of CloudTrail's own that its newest event is to be, such as StopLogging.
    """
    about = named or delivered
    minute = named or _on_grid(delivered + timedelta(seconds=rng.choice(_NAME_LEADS)))
    newest = about - timedelta(seconds=rng.randrange(60, 240))
    content, oldest = _content(spec, site, rng, newest, doing)
    return LogFile(
        key=naming.log_key(spec, site, minute, "".join(rng.choices(_ALPHANUMERIC, k=16))),
        body=compress(content),
        sha256=hashlib.sha256(content).hexdigest(),
        delivered=delivered,
        oldest=oldest,
        newest=newest,
    )


def compress(content: bytes) -> bytes:
    """One gzip member, without a time in it, so that equal contents make equal files."""
    return igzip.compress(content, _COMPRESSION, mtime=0)


def _on_grid(moment: datetime) -> datetime:
    return moment - timedelta(seconds=moment.timestamp() % _NAME_GRID.total_seconds())


def _content(
    spec: TrailSpec, site: AccountRegion, rng: random.Random, newest: datetime, doing: str | None = None
) -> tuple[bytes, datetime]:
    templates = _templates(site)
    moment = newest.replace(tzinfo=None)
    events = []
    for index in range(spec.events_per_log):
        if index:
            moment -= timedelta(seconds=rng.getrandbits(4))
        bits = f"{rng.getrandbits(320):080x}"
        values = {
            "time": f"{moment.isoformat()}Z",
            "request": _uuid(bits[:32]),
            "event": _uuid(bits[32:64]),
            "ip": f"{_NETWORKS[int(bits[64], 16) % 3]}.{1 + int(bits[65:69], 16) % 250}",
            "agent": _AGENTS[int(bits[69], 16) % len(_AGENTS)],
            "token": bits[63:80],
        }
        template = templates[int(bits[70:72], 16) % len(templates)]
        if doing is not None and not index:
            template = json.dumps(_trail_event(spec, site, doing), separators=(",", ":"))
        events.append(template % values)
    return ('{"Records":[' + ",".join(events) + "]}").encode(), moment.replace(tzinfo=newest.tzinfo)


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@lru_cache(maxsize=256)
def _templates(site: AccountRegion) -> tuple[str, ...]:
    """One %-format string of JSON for each kind of event, everything fixed filled in."""
    return tuple(
        json.dumps(_event(site, **parts), separators=(",", ":")) for parts in _kinds(site.account, site.region)
    )


def _event(site: AccountRegion, *, source: str, name: str, **parts: Any) -> dict[str, Any]:
    event = {
        "eventVersion": "1.11",
        "userIdentity": _role(site.account),
        "eventTime": "%(time)s",
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "awsRegion": site.region,
        "sourceIPAddress": "%(ip)s",
        "userAgent": "%(agent)s",
        "requestParameters": None,
        "responseElements": None,
        "requestID": "%(request)s",
        "eventID": "%(event)s",
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": site.account,
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": f"{source}.{site.region}.amazonaws.com",
        },
    }
    return event | parts


def _trail_event(spec: TrailSpec, site: AccountRegion, name: str) -> dict[str, Any]:
    """What somebody did to the trail itself."""
    parameters = {"name": spec.trail_arn}
    return _event(site, source="cloudtrail", name=name, readOnly=False, requestParameters=parameters)


def _role(account: str) -> Mapping[str, Any]:
    return {
        "type": "AssumedRole",
        "principalId": "AROA123456789EXAMPLE:session-%(token)s",
        "arn": f"arn:aws:sts::{account}:assumed-role/Deployment/session-%(token)s",
        "accountId": account,
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROA123456789EXAMPLE",
                "arn": f"arn:aws:iam::{account}:role/Deployment",
                "accountId": account,
                "userName": "Deployment",
            },
            "attributes": {"creationDate": "%(time)s", "mfaAuthenticated": "false"},
        },
    }


def _user(account: str) -> Mapping[str, Any]:
    return {
        "type": "IAMUser",
        "principalId": "AIDACKCEVSQ6C2EXAMPLE",
        "arn": f"arn:aws:iam::{account}:user/operator",
        "accountId": account,
        "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "userName": "operator",
    }


def _kinds(account: str, region: str) -> Iterator[dict[str, Any]]:
    """What each kind of event has beside the common fields."""
    yield from _reads(account, region)
    yield from _changes(account, region)


def _reads(account: str, region: str) -> Iterator[dict[str, Any]]:
    key_arn = f"arn:aws:kms:{region}:{account}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    yield {
        "source": "ec2",
        "name": "DescribeInstances",
        "requestParameters": {"instancesSet": {}, "filterSet": {}, "maxResults": 100},
    }
    yield {
        "source": "sts",
        "name": "AssumeRole",
        "userIdentity": {"type": "AWSService", "invokedBy": "lambda.amazonaws.com"},
        "requestParameters": {
            "roleArn": f"arn:aws:iam::{account}:role/Deployment",
            "roleSessionName": "session-%(token)s",
        },
        "responseElements": {
            "credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "expiration": "%(time)s"},
            "assumedRoleUser": {
                "assumedRoleId": "AROA123456789EXAMPLE:session-%(token)s",
                "arn": f"arn:aws:sts::{account}:assumed-role/Deployment/session-%(token)s",
            },
        },
    }
    yield {
        "source": "kms",
        "name": "Decrypt",
        "requestParameters": {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "keyId": key_arn},
        "resources": [{"accountId": account, "type": "AWS::KMS::Key", "ARN": key_arn}],
    }
    yield {
        "source": "s3",
        "name": "GetBucketAcl",
        "requestParameters": {"bucketName": "DOC-EXAMPLE-BUCKET", "Host": f"s3.{region}.amazonaws.com", "acl": ""},
        "additionalEventData": {"SignatureVersion": "SigV4", "bytesTransferredIn": 0, "bytesTransferredOut": 480},
    }
    yield {
        "source": "secretsmanager",
        "name": "GetSecretValue",
        "userIdentity": _user(account),
        "errorCode": "AccessDenied",
        "errorMessage": f"User: arn:aws:iam::{account}:user/operator is not authorized to perform this action",
        "requestParameters": {"secretId": "example/database"},
    }
    if region == "us-east-1":  # where CloudTrail records the global services
        yield {
            "source": "iam",
            "name": "ListAttachedRolePolicies",
            "userIdentity": _user(account),
            "requestParameters": {"roleName": "Deployment"},
        }


def _changes(account: str, region: str) -> Iterator[dict[str, Any]]:
    yield {
        "source": "ec2",
        "name": "StartInstances",
        "readOnly": False,
        "userIdentity": _user(account),
        "requestParameters": {"instancesSet": {"items": [{"instanceId": "i-%(token)s"}]}},
        "responseElements": {
            "requestId": "%(request)s",
            "instancesSet": {
                "items": [
                    {
                        "instanceId": "i-%(token)s",
                        "currentState": {"code": 0, "name": "pending"},
                        "previousState": {"code": 80, "name": "stopped"},
                    }
                ]
            },
        },
    }
    yield {
        "source": "lambda",
        "name": "UpdateFunctionCode20150331v2",
        "readOnly": False,
        "requestParameters": {"functionName": "nightly-report", "publish": False, "dryRun": False},
        "responseElements": {
            "functionArn": f"arn:aws:lambda:{region}:{account}:function:nightly-report",
            "runtime": "python3.13",
            "revisionId": "%(event)s",
            "lastModified": "%(time)s",
        },
    }
    yield {
        "source": "logs",
        "name": "CreateLogStream",
        "readOnly": False,
        "requestParameters": {"logGroupName": "/aws/lambda/nightly-report", "logStreamName": "%(token)s"},
    }
