"""Every way into the tool from outside: cases that are true but for a change, and what must hold of what comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import ConfigurationError, RequestError, StoreError
from cloudtrail_validate.core.sidecar import read_sidecar
from cloudtrail_validate.distribute import parts
from cloudtrail_validate.doctor.policy import document as policies
from cloudtrail_validate.report.examination import ExaminationError
from cloudtrail_validate.report.kept import KeptError
from cloudtrail_validate.snapshot import manifest
from cloudtrail_validate.stores.s3_answers import NotS3Error
from tests.fuzz import bucket, evidence, files, material, words
from tests.fuzz.drive import Way


def _cases() -> Iterator[Way]:
    yield Way("a page of a listing", 3000, bucket.a_page, bucket.read_page, (NotS3Error,), bucket.check_page)
    yield Way("S3's refusals and headers", 3000, bucket.an_answer, bucket.look_at, (), bucket.check_refusal)
    yield Way("digests", 4000, bucket.a_digest, lambda case: digest.observe(case, _keys()), (), bucket.check_digest)
    yield Way("gzip", 4000, bucket.a_container, bucket.inflate, (), bucket.check_container)
    yield Way("logs", 3000, bucket.a_log, bucket.read_log)
    yield Way("sidecars", 1600, bucket.a_sidecar, read_sidecar, (), bucket.check_sidecar)
    yield Way("key files", 1600, files.a_key_file, files.read_keys, (ConfigurationError,), files.check_keys)
    yield Way("ListPublicKeys", 1600, files.key_pages, files.list_keys, (StoreError,))
    yield Way("reports", 1000, files.a_report, files.read_report, (KeptError,), files.check_report)
    yield Way("examinations", 600, files.an_examination, files.examine, (ExaminationError,))
    yield Way("parts", 1200, files.a_part, files.merge_parts, (ConfigurationError,), files.check_merged)
    yield Way(
        "plans", 1200, files.a_plan, lambda data: parts.read_plan(data, "x"), (ConfigurationError,), files.check_plan
    )
    yield Way("states", 2000, files.a_state_file, files.use_state, (ConfigurationError,))
    yield from evidence.cases()
    yield Way("manifests", 1600, files.a_manifest, manifest.decode, (manifest.NotASnapshotError,), files.check_manifest)
    yield Way("configuration", 1600, files.a_config, files.load_config, (click.UsageError,))
    yield Way("command line", 1600, words.a_text, words.read_text, (RequestError,))
    yield Way("events of AWS", 2400, words.an_event, words.take_event, (), words.check_event)
    yield Way("keys", 4000, words.a_key, words.read_key)
    yield Way("events of a witness", 1500, words.two_events, words.hold_against)
    yield Way("expressions", 1500, words.an_expression, words.try_expression, (RequestError,))
    yield Way("policies", 1600, words.a_policy, policies.parse)


def _keys() -> Any:
    return material.keys_of(material.made())


WAYS: Final = {way.name: way for way in _cases()}
