"""What to do next about a finding, with commands that can be pasted: bucket, key, trail, region and profile filled in.

The rules' own texts (`ctvalidate explain`) are general; these are about one finding of one report. Where `--versions`
found the proven original, bringing it back leads. A value that would not survive the shell leaves a step without its
command. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from urllib.parse import unquote

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.copies import read_place
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.model import HOUR, Cause, Interval, Status, isoformat
from cloudtrail_validate.core.shell import command_line
from cloudtrail_validate.core.versions import Versions
from cloudtrail_validate.report import FindingRecord, Report, StepRecord
from cloudtrail_validate.report.references import account_of, region_of

KEPT: Final = "report.json"  # the name that `--output` has in all examples
MOST: Final = 3  # steps of one finding: a responder does one thing after another
_AROUND: Final = timedelta(hours=3)  # before and after a gap, when whoever brought it about was at work
_WHO_WRITES: Final = 'Events[?ReadOnly==`"false"`].[EventTime,EventName,Username]'
_OF_TRAIL: Final = "AttributeKey=EventSource,AttributeValue=cloudtrail.amazonaws.com"
_OF_QUERY: Final = "AttributeKey=EventName,AttributeValue=StartQuery"
_OFF_AND_ON: Final = rules.GAPS | {rules.CHAIN_RESTART}
_CHANGE: Final = frozenset({Status.ALTERED, Status.MISSING, Status.EXTRA})
_LOG_CONTENT: Final = frozenset({rules.LOG_ALTERED, rules.LOG_MALFORMED, rules.LOG_TRAILING_DATA})
_Step = tuple[str, str | None]


class Advisor:
    """Knows a report, and says what to do about its findings.

    `kept` is the file that holds the report as JSON, where it is known; else `report.json` stands for it.
    """

    def __init__(self, report: Report, kept: str | None = None) -> None:
        request = report.request
        self._request = request
        self._kept = kept or KEPT
        self._copied = isinstance(request.copy_of, str)
        self._folder = request.source.removeprefix("file://") if request.source.startswith("file:///") else None
        self._bucket = _bucket_of(report)
        self._chains = {(chain.account, chain.region, chain.trail): chain.home_region for chain in report.chains}
        files = {key.file for key in report.public_keys if isinstance(key.file, str)}
        self._keys = ("--public-keys", files.pop()) if len(files) == 1 else ()
        given = {"--profile": request.profile, "--endpoint-url": request.endpoint_url}
        self._login = tuple(word for name, value in given.items() if isinstance(value, str) for word in (name, value))
        self._role = ("--role-arn", request.role_arn) if isinstance(request.role_arn, str) else ()

    def steps(self, finding: FindingRecord, when: Interval | None = None, *, places: int = 1) -> tuple[StepRecord, ...]:
        """The first things to do about a finding, most telling first.

        `when` is the time of the incident that the finding leads, `places` in how many accounts and regions it happened.
        """
        found: dict[str, StepRecord] = {}
        for text, command in self._steps(finding, when, one_place=places == 1):
            found.setdefault(text, StepRecord(text=text, command=command))
        return tuple(found.values())[:MOST]

    def _steps(self, finding: FindingRecord, when: Interval | None, *, one_place: bool) -> Iterator[_Step]:
        bucket, key = finding.bucket or self._bucket, finding.key
        if finding.cause is not None:
            yield from self._unreadable(finding.cause, bucket, key or "")
            return
        if finding.rule.startswith("lake-"):
            yield from self._query(finding, bucket, key or "")
            return
        if finding.status in _CHANGE and key is not None:
            yield from self._object(finding, bucket, when, one_place=one_place)
        if finding.rule in _OFF_AND_ON:
            yield from self._trail(finding, when)
        if finding.rule == rules.LOG_UNDIGESTED and key is not None:
            yield "See what can be said of one of them", self._file(bucket, key)
        if finding.rule == rules.DIGEST_KEY_UNKNOWN and finding.region and when:
            window = ("--start-time", isoformat(when.start), "--end-time", isoformat(when.end))
            yield (
                "Ask AWS for the region's keys again, and validate with them (--public-keys keys.json)",
                self._own("keys", "export", *window, "--region", finding.region, "--output", "keys.json"),
            )

    def _object(
        self, finding: FindingRecord, bucket: str, when: Interval | None, *, one_place: bool
    ) -> Iterator[_Step]:
        """Something altered, missing or extra."""
        key = finding.key or ""
        versions = finding.versions if isinstance(finding.versions, Versions) else None
        if versions is not None and versions.original is not None:
            yield from self._original(finding, versions, bucket, key)
            return
        if finding.status is Status.EXTRA:
            yield "See what the digests say of it", self._file(bucket, key)
        elif versions is None and when is not None and bucket:
            again = self._again(finding, bucket, when, one_place=one_place)
            yield "Look whether the bucket still holds the original, then recover it", again
        if not bucket:
            yield "Look into the bucket that this is a copy of: a copy may be incomplete, and keeps no versions", None
            return
        yield (
            "Keep the evidence: its versions, and who owns them",
            self._aws("s3api", "list-object-versions", "--bucket", bucket, "--prefix", key),
        )
        if finding.status is Status.MISSING:
            yield (
                "See whether a lifecycle rule removed it",
                self._aws("s3api", "get-bucket-lifecycle-configuration", "--bucket", bucket),
            )
        else:
            yield "Keep its metadata", self._aws("s3api", "head-object", "--bucket", bucket, "--key", key)

    def _query(self, finding: FindingRecord, bucket: str, key: str) -> Iterator[_Step]:
        """Results of a query that are not what they should be."""
        if bucket:
            yield (
                "Keep the evidence: its versions, and who owns them",
                self._aws("s3api", "list-object-versions", "--bucket", bucket, "--prefix", key),
            )
        else:
            yield "Look into the bucket that this is a copy of: a copy may be incomplete, and keeps no versions", None
        if finding.rule == rules.LAKE_KEY_UNKNOWN and finding.region and finding.start:
            around = ("--start-time", isoformat(finding.start), "--end-time", isoformat(finding.start + _AROUND))
            yield (
                "Ask AWS for the region's keys again, and verify with them (--public-keys keys.json)",
                self._own("keys", "export", *around, "--region", finding.region, "--output", "keys.json"),
            )
        elif finding.start:
            since, until = isoformat(finding.start - _AROUND), isoformat(finding.start + _AROUND)
            window = ("--lookup-attributes", _OF_QUERY, "--start-time", since, "--end-time", until)
            region = ("--region", finding.region) if finding.region else ()
            yield (
                "See who ran which query at that time (AWS keeps 90 days)",
                self._aws("cloudtrail", "lookup-events", *region, *window),
            )

    def _original(self, finding: FindingRecord, versions: Versions, bucket: str, key: str) -> Iterator[_Step]:
        """The proven original is there."""
        original = versions.original.version_id if versions.original else ""
        yield (
            f"Bring the proven original back (version {original})",
            self._own("recover", self._kept, "--to", "originals"),
        )
        if finding.rule in _LOG_CONTENT:
            there = f"s3://{bucket}/{key}"
            command = None if "?versionId=" in key else self._own("diff", f"{there}?versionId={original}", there)
            yield "See what was changed, event by event", command
        if versions.restore_command:
            yield "Make the original current again, once the evidence is kept", versions.restore_command

    def _trail(self, finding: FindingRecord, when: Interval | None) -> Iterator[_Step]:
        """Hours without a digest: who did something to the trail, and what AWS says of its delivery."""
        trail, home = self._home(finding)
        region = ("--region", home) if home else ()
        if when is not None:
            since, until = isoformat(when.start - _AROUND), isoformat(when.end + _AROUND)
            window = ("--lookup-attributes", _OF_TRAIL, "--start-time", since, "--end-time", until)
            yield (
                "List what was done to trails around these hours (AWS keeps 90 days)",
                self._aws("cloudtrail", "lookup-events", *region, *window, "--query", _WHO_WRITES, "--output", "text"),
            )
        if trail:
            yield (
                "Ask AWS when it last delivered, and what kept it",
                self._aws("cloudtrail", "get-trail-status", "--name", trail, *region),
            )
        if finding.rule == rules.CHAIN_ABSENT and home:
            yield "See whether the trail covers this place at all", self._aws("cloudtrail", "describe-trails", *region)

    def _unreadable(self, cause: Cause, bucket: str, key: str) -> Iterator[_Step]:
        """Something is there and cannot be read."""
        if not bucket or not key or key.endswith("/"):
            return
        place = ("--bucket", bucket, "--key", key)
        if cause is Cause.ARCHIVED:
            yield (
                "Ask for it to be readable for a week, then validate again",
                self._aws("s3api", "restore-object", *place, "--restore-request", "Days=7"),
            )
        elif cause is Cause.KMS_DENIED:
            yield (
                "See which KMS key it is encrypted with (SSEKMSKeyId)",
                self._aws("s3api", "head-object", *place),
            )
        elif cause is Cause.ACCESS_DENIED:
            yield "See which permission is missing", self._aws("s3api", "head-object", *place)

    def _home(self, finding: FindingRecord) -> tuple[str, str]:
        """The trail's ARN or name and its home region, as far as the report knows them."""
        arn = parse_trail_arn(self._request.trail_arn or "")
        if arn is not None:
            return self._request.trail_arn or "", arn.region
        trail = finding.trail or ""
        return trail, self._chains.get((finding.account or "", finding.region or "", trail), "")

    def _again(self, finding: FindingRecord, bucket: str, when: Interval, *, one_place: bool) -> str | None:
        """The validation of these hours and this place again, with what the bucket's versions say."""
        request = self._request
        hour = when.seconds >= HOUR.total_seconds()
        begin, until = when if hour else (when.start - HOUR, when.end + HOUR)
        words = ["--start-time", isoformat(begin), "--end-time", isoformat(until)]
        if one_place:
            account, region = account_of(finding.account), region_of(finding.region)
            words += ["--account-id", account] if account else []
            words += ["--region", region] if region else []
        if request.trail_arn and self._folder is None:
            return self._own("--trail-arn", request.trail_arn, *words, "--versions", "--output", KEPT)
        prefix = request.source.removeprefix("s3://").partition("/")[2] if self._folder is None else ""
        if isinstance(request.copy_of, str):  # its versions tell of the place itself, not of the copy
            of = read_place(request.copy_of)
            prefix = of.key if of else ""
            if of is None or "AWSLogs" in prefix:
                return None
        place = ["--s3-bucket", bucket, *(["--s3-prefix", prefix.removesuffix("/")] if prefix else [])]
        return self._own(*place, *words, "--versions", "--output", KEPT)

    def _file(self, bucket: str, key: str) -> str | None:
        """The chain of proof of one object, in a bucket or in a local copy."""
        if self._folder is None:
            return self._own("file", f"s3://{bucket}/{key}") if bucket else None
        if self._copied:
            return None  # it lies there under another name
        folder = unquote(self._folder)
        return command_line(
            *("ctvalidate", "file", f"{folder.rstrip('/')}/{key}", "--key", key, "--source", folder, *self._keys),
            values=(folder, key),
        )

    def _own(self, *words: str) -> str | None:
        return self._line("ctvalidate", *words, login=(*self._login, *self._role))

    def _aws(self, *words: str) -> str | None:
        return self._line("aws", *words, login=self._login)

    def _line(self, program: str, *words: str, login: tuple[str, ...]) -> str | None:
        checked = [word.removeprefix("s3://") for word in words if word not in _OPTIONS]
        checked += [word.partition("://")[2] or word for word in login if word not in _OPTIONS]
        return command_line(program, *words, *login, values=tuple(checked))


_OPTIONS: Final = frozenset(
    {"--account-id", "--bucket", "--end-time", "--endpoint-url", "--key", "--lookup-attributes", "--name", "--output"}
    | {"--prefix", "--profile", "--query", "--region", "--restore-request", "--role-arn", "--s3-bucket", "--s3-prefix"}
    | {"--start-time", "--to", "--trail-arn", "--versions"}
)


def _bucket_of(report: Report) -> str:
    """The bucket of what names none: the source's, or, of a local copy, the one that all else names; may be empty."""
    if report.request.source.startswith("s3://"):
        return report.request.source.removeprefix("s3://").partition("/")[0]
    named = {finding.bucket for finding in report.findings if finding.bucket}
    return named.pop() if len(named) == 1 else ""
