"""Three examples for the help of each subcommand: what for, and the line. A test holds every option in them to the code."""

from __future__ import annotations

from typing import Final

_TRAIL: Final = "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events"
_ROLE: Final = "arn:aws:iam::111122223333:role/auditor"
_KEY: Final = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/NAME.json.gz"

EXAMPLES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "validate": (
        ("the last day of a trail, all accounts and regions", f"ctvalidate --trail-arn {_TRAIL} --last 24h"),
        (
            "everything in a bucket, with a report to hand on and one for programs",
            "ctvalidate --s3-bucket DOC-EXAMPLE-BUCKET --last 7d -o report.html -o report.json",
        ),
        (
            "a local copy, without AWS",
            "ctvalidate --source copy --public-keys keys.json --start-time 2026-01-01 --end-time 2026-02-01",
        ),
    ),
    "report": (
        ("all findings of a kept report", "ctvalidate report report.json --show all"),
        ("what one account lost, for a spreadsheet", "ctvalidate report report.json --account 111122223333 -o lost.csv"),
        ("a week's reports as one page", "ctvalidate report monday.json tuesday.json wednesday.json -o week.html"),
    ),
    "compare": (
        ("what is new since yesterday", "ctvalidate compare yesterday.json today.json"),
        ("the same for programs", "ctvalidate compare yesterday.json today.json --format json"),
        ("mail only what got worse", "ctvalidate compare old.json new.json > diff.txt || mail -s worse me < diff.txt"),
    ),
    "explain": (
        ("all rules", "ctvalidate explain"),
        ("one of them", "ctvalidate explain log-extra"),
        ("for programs", "ctvalidate explain log-extra --format json"),
    ),
    "file": (
        ("a log in the bucket", f"ctvalidate file s3://DOC-EXAMPLE-BUCKET/{_KEY}"),
        ("on disk, digests in a local copy", f"ctvalidate file NAME.json.gz --key {_KEY} --source copy"),
        (
            "one event, as a page to print",
            "ctvalidate file --event-id 6a7d5a79-388e-431d-afe4-bb07d39b3b1a --day 2026-01-01 --source copy --format html",
        ),
    ),
    "search": (
        ("who used the root user last week", f"ctvalidate search --trail-arn {_TRAIL} --last 7d --use root-use"),
        (
            "what one access key did, as CSV and as a page",
            "ctvalidate search --source copy --last 7d --access-key AKIAIOSFODNN7EXAMPLE -o key.csv --timeline key.html",
        ),
        (
            "who was denied what in a local copy, principal by principal",
            "ctvalidate search --source copy --public-keys keys.json --last 7d --error 'AccessDenied*' --summary",
        ),
    ),
    "recover": (
        ("into a new folder", "ctvalidate recover report.json --to originals"),
        ("as an auditor's role", f"ctvalidate recover report.json --to originals --role-arn {_ROLE}"),
        ("what event history still holds of lost hours", "ctvalidate recover report.json --to told --from-history"),
    ),
    "fetch-signatures": (
        ("after aws s3 sync s3://DOC-EXAMPLE-BUCKET copy", "ctvalidate fetch-signatures DOC-EXAMPLE-BUCKET copy"),
        (
            "after aws s3 sync s3://DOC-EXAMPLE-BUCKET/PREFIX/ copy",
            "ctvalidate fetch-signatures s3://DOC-EXAMPLE-BUCKET/PREFIX/ copy",
        ),
        ("as an auditor's role", f"ctvalidate fetch-signatures DOC-EXAMPLE-BUCKET copy --role-arn {_ROLE}"),
    ),
    "diff": (
        ("two files", "ctvalidate diff original.json.gz altered.json.gz"),
        (
            "a version against what lies there now",
            f"ctvalidate diff 's3://DOC-EXAMPLE-BUCKET/{_KEY}?versionId=ID' s3://DOC-EXAMPLE-BUCKET/{_KEY}",
        ),
        ("for programs", "ctvalidate diff original.json.gz altered.json.gz --format json"),
    ),
    "snapshot": (
        ("the last week of a trail", f"ctvalidate snapshot --trail-arn {_TRAIL} --last 7d --to snapshot-1"),
        (
            "a month of a bucket, signed",
            "ctvalidate snapshot --s3-bucket DOC-EXAMPLE-BUCKET --last 30d --to snapshot-2 --sign-with key.pem",
        ),
        (
            "stamped by a time stamping authority",
            "ctvalidate snapshot --source copy --last 7d --to snapshot-3 --timestamp http://timestamp.example.com/tsr",
        ),
    ),
    "verify-snapshot": (
        ("a snapshot", "ctvalidate verify-snapshot snapshot-1"),
        ("one that must be signed", "ctvalidate verify-snapshot snapshot-2 --public-key key.pub.pem"),
        ("one with a time stamp", "ctvalidate verify-snapshot snapshot-3 --timestamp-ca authority.pem"),
    ),
    "keys export": (
        ("for January, all regions", "ctvalidate keys export --start-time 2026-01-01 --end-time 2026-02-01 -o keys.json"),
        ("of two regions", "ctvalidate keys export --last 30d --region us-east-1 --region eu-west-1 -o keys.json"),
        ("with a profile, to standard output", "ctvalidate keys export --last 30d --profile audit > keys.json"),
    ),
    "plan": (
        ("a month in 8 parts", f"ctvalidate plan --shards 8 --trail-arn {_TRAIL} --last 30d > plan.jsonl"),
        ("of a bucket", "ctvalidate plan --shards 4 --s3-bucket DOC-EXAMPLE-BUCKET --last 7d > plan.jsonl"),
        ("of two accounts", "ctvalidate plan --shards 2 --source copy --account-id 111122223333 --last 7d > plan.jsonl"),
    ),
    "merge": (
        ("all parts in a folder", "ctvalidate merge s3://DOC-EXAMPLE-BUCKET/parts/"),
        ("out of S3, into two reports", "ctvalidate merge s3://DOC-EXAMPLE-BUCKET/part-1 part-2 -o run.json -o run.html"),
        ("only verdict and findings", "ctvalidate merge part-1 part-2 -q"),
    ),
    "witness": (
        ("the last week of a trail, answers kept", f"ctvalidate witness --trail-arn {_TRAIL} --last 7d --keep told"),
        ("only what is known of lost hours", "ctvalidate witness --s3-bucket DOC-EXAMPLE-BUCKET --last 30d --only-lost"),
        ("a hundred requests a region at most", f"ctvalidate witness --trail-arn {_TRAIL} --last 24h --max-requests 100"),
    ),
    "lake": (
        ("one query's results", "ctvalidate lake s3://DOC-EXAMPLE-BUCKET/AWSLogs/111122223333/CloudTrail-Lake/Query/2026/05/10/QUERY-ID/"),
        ("all in a bucket, with a report to hand on", "ctvalidate lake s3://DOC-EXAMPLE-BUCKET/ -o results.html"),
        ("a snapshot of them, signed", "ctvalidate lake s3://DOC-EXAMPLE-BUCKET/ --to snapshot-4 --sign-with key.pem"),
    ),
    "doctor": (
        ("of one trail", f"ctvalidate doctor --trail-arn {_TRAIL}"),
        ("for an auditor", f"ctvalidate doctor --trail-arn {_TRAIL} --last-report report.json -o doctor.html"),
        ("the lines that would mend it", f"ctvalidate doctor --trail-arn {_TRAIL} --fix-plan > plan.sh"),
    ),
    "policy": (
        ("for a daily run", f"ctvalidate policy --trail-arn {_TRAIL} --last 24h"),
        ("for the doctor", f"ctvalidate policy --bucket DOC-EXAMPLE-BUCKET doctor --trail-arn {_TRAIL}"),
        ("what the bucket's owner must add", f"ctvalidate policy --kind bucket --trail-arn {_TRAIL} --last 24h"),
    ),
    "recheck": (
        (
            "what S3 computed of a year in Glacier",
            "ctvalidate recheck --inventory proven.parquet --checksum-report s3://DOC-EXAMPLE-REPORTS/job-ID/manifest.json",
        ),
        ("a report that was downloaded", "ctvalidate recheck --inventory proven.jsonl --checksum-report job/manifest.json"),
        (
            "for programs",
            "ctvalidate recheck --inventory proven.jsonl --checksum-report job/manifest.json --format json",
        ),
    ),
    "state show": (
        ("a file", "ctvalidate state show trail.state"),
        ("in S3, all of it, for programs", "ctvalidate state show s3://DOC-EXAMPLE-STATE-BUCKET/trail/ --format json"),
        ("one that must be signed", "ctvalidate state show trail.state --public-key state.pub.pem"),
    ),
    "state sign": (
        ("a state that was not signed until now", "ctvalidate state sign trail.state --state-sign-with key.pem"),
        (
            "another key than before",
            "ctvalidate state sign trail.state --public-key old.pub.pem --state-sign-with new.pem --trust",
        ),
        (
            "in S3, with a key that stays in KMS",
            "ctvalidate state sign s3://DOC-EXAMPLE-STATE-BUCKET/trail/ --state-sign-with $KEY_ARN",
        ),
    ),
    "schema": (
        ("to read", "ctvalidate schema"),
        ("to keep", "ctvalidate schema > report.schema.json"),
        ("to check a report", "ctvalidate schema > schema.json && check-jsonschema --schemafile schema.json r.json"),
    ),
    "simulate": (
        ("a day of logs in a folder", "ctvalidate simulate trail --hours 24"),
        ("tampered with in two ways", "ctvalidate simulate trail --hours 24 --tamper log-missing --tamper digest-moved"),
        ("in a bucket, with answers", "ctvalidate simulate s3://DOC-EXAMPLE-BUCKET --tamper log-extra --manifest m.json"),
    ),
    "demo": (
        ("write a trail, tamper with it, find it", "ctvalidate demo"),
        ("keep the trail to look around in", "ctvalidate demo --keep demo"),
        ("plant elsewhere", "ctvalidate demo --seed 8"),
    ),
    "help": (
        ("everything", "ctvalidate help"),
        ("one command", "ctvalidate help snapshot"),
        ("one below another", "ctvalidate help keys export"),
    ),
    "completion": (
        ("in this bash", 'source <(ctvalidate completion bash)'),
        ("in every zsh", "ctvalidate completion zsh > ~/.zfunc/_ctvalidate"),
        ("in every fish", "ctvalidate completion fish > ~/.config/fish/completions/ctvalidate.fish"),
    ),
}  # fmt: skip
