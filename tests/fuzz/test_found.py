"""What the fuzz has found, each by its own name, so that it stays found however the fuzz draws its cases."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import pytest
from msgspec.structs import replace

from cloudtrail_validate.aws.public_keys import list_public_keys
from cloudtrail_validate.core import witness
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.findings import Findings
from cloudtrail_validate.core.model import Interval, Locator, Status
from cloudtrail_validate.core.shards import Shard
from cloudtrail_validate.distribute import parts
from cloudtrail_validate.distribute.parts import Part
from cloudtrail_validate.evidence import events
from cloudtrail_validate.snapshot import manifest
from cloudtrail_validate.state import codec as state
from cloudtrail_validate.state.model import State, merge
from cloudtrail_validate.stores.s3_answers import Asked, parse_page, refusal
from cloudtrail_validate.stores.transfer import Answer
from tests.fuzz import material
from tests.state.test_model import state as a_state
from tests.state.test_model import stretch

NAIVE = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # what is to be refused
LATE = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
EARLY = datetime(1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("encoding", [b"UTD-8", b"utf-16", b"idna", b"rot13", b"unicode_escape", b"x" * 100])
def test_xml_in_an_encoding_that_nobody_knows_is_no_answer_of_s3(encoding: bytes) -> None:
    """The codec's LookupError came out of the listing. S3 writes UTF-8, whatever a document says of itself."""
    of = material.made()
    page = material.page_xml(of.spec.bucket, "", sorted(material.objects(of).items()))
    asked = Asked(of.spec.bucket, "")
    named = page.replace(b"UTF-8", encoding, 1)
    assert parse_page(named, asked) == parse_page(page, asked)
    body = material.refusal_xml("NoSuchKey", "x").replace(b"UTF-8", encoding, 1)
    assert type(refusal(Answer(404, (), body, len(body)))).__name__ == "AbsentError"


def test_a_key_that_is_a_number_takes_no_memory() -> None:
    """`bytes(2**40)` is a terabyte of zeros."""

    class Client:
        def list_public_keys(self, **_: Any) -> dict[str, Any]:
            times = {"ValidityStartTime": LATE, "ValidityEndTime": LATE}
            return {"PublicKeyList": [{"Fingerprint": "f", "Value": 2**40, **times}]}

    with pytest.raises(Exception, match="Value is int, not bytes"):
        list_public_keys(Client(), "us-east-1", LATE, LATE)


class TestPart:
    """Parts of a run. Their checksum tells a whole one from a cut one; it is no proof of who wrote it."""

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"shard": Shard(1, 2**53)}, "there is no shard"),
            ({"shard": Shard(3, 2)}, "there is no shard"),
            ({"shard": Shard(0, 2)}, "there is no shard"),
            ({"window": Interval(NAIVE, LATE)}, "times that are not in UTC"),
            ({"window": Interval(EARLY, LATE)}, "times that are not in UTC, or of other years"),
            (
                {"window": Interval(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))},
                "window is empty",
            ),
            ({"window": Interval(datetime(1980, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))}, "too long"),
            ({"findings": Findings((), (("log-altered", Status.ALTERED, 1),))}, "contradicts itself"),
            ({"findings": Findings((), (("log-pending", Status.NOTICE, -1),))}, "contradicts itself"),
        ],
    )
    def test_that_no_run_can_have_written_is_refused(self, change: dict[str, Any], why: str) -> None:
        """Shards without end took time without end; other times raised errors of datetime's own."""
        with pytest.raises(ConfigurationError, match=rf"\Ax: it is no part of a run: .*{why}"):
            parts.decode(_encoded(replace(material.parts()[0], **change)), "x")

    def test_findings_that_are_kept_and_not_counted_are_refused(self) -> None:
        """The verdict is that of the numbers: evidence that is listed and not counted would be passed over."""
        part = material.parts()[0]
        hidden = tuple(replace(result, findings=replace(result.findings, numbers=())) for result in part.results)
        assert any(result.findings.kept for result in hidden)
        with pytest.raises(ConfigurationError, match="contradicts itself"):
            parts.decode(_encoded(replace(part, results=hidden)), "x")

    def test_what_no_part_did_makes_the_verdict_unproven(self) -> None:
        """A plan that deals an account-region to no shard left it out, and the merged verdict was valid."""
        one, other = material.parts()
        nothing = replace(one, sites=(), results=())
        outcome, _ = parts.merge([("1", nothing), ("2", other)])
        assert ("digest-unreadable", Status.UNVERIFIABLE, 1) in outcome.findings.numbers
        assert any("leave out an account-region" in str(finding.detail) for finding in outcome.findings.kept)
        twice = replace(other, sites=one.sites, results=one.results)
        assert any(
            "hold one twice" in str(item.detail) for item in parts.merge([("1", one), ("2", twice)])[0].findings.kept
        )
        whole, _ = parts.merge([("1", one), ("2", other)])
        assert {status for _, status, _ in whole.findings.numbers} == {Status.ALTERED}

    def test_true_ones_are_read_back(self) -> None:
        for part in material.parts():
            assert parts.decode(parts.encode(part), "x") == part


def _encoded(part: Part) -> bytes:
    body = msgspec.json.encode(part)
    return body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n"


@pytest.mark.parametrize("line", [{"shard": 0}, {"shard": 3}, {"shards": 2**53}, {"shards": 0}])
def test_a_plan_with_shards_that_there_are_not_is_refused(line: dict[str, int]) -> None:
    head = {
        "schema": "ctvalidate.plan/1",
        "source": "s3://b/",
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-01-02T00:00:00Z",
        "shards": line.get("shards", 2),
        "account_regions": 1,
        "fingerprint": parts.fingerprint([("", "111122223333", "us-east-1")]),
    }
    place = {"account": "111122223333", "region": "us-east-1", "organization_id": None, "digests": 1}
    data = b"\n".join(map(msgspec.json.encode, (head, {**place, "shard": line.get("shard", 1)})))
    with pytest.raises(ConfigurationError, match="names shards that there are not"):
        parts.read_plan(data, "x")


@pytest.mark.parametrize(
    "change",
    [
        lambda held: replace(held, saved=NAIVE),
        lambda held: replace(held, saved=LATE),
        lambda held: replace(held, open=(replace(held.open[0], first_seen=NAIVE),)),
        lambda held: replace(held, regions=(replace(held.regions[0], stretches=(stretch(2**40),)),)),
        lambda held: replace(held, regions=(replace(held.regions[0], stretches=(stretch(-1),)),)),
        lambda held: replace(held, regions=(replace(held.regions[0], stretches=(stretch(1, length=2**62),)),)),
    ],
)
def test_a_state_with_times_that_nobody_can_reckon_with_is_damaged(
    change: Callable[[State], State],
) -> None:
    """They raised TypeError and OverflowError in the midst of a run."""
    with pytest.raises(ConfigurationError, match="cannot be"):
        state.decode(state.encode(change(a_state(stretch(1)))), "x")


def test_a_state_with_text_that_is_no_utf8_is_damaged() -> None:
    content = msgspec.msgpack.encode(a_state(stretch(1))).replace(b"s3://b/", b"s3://\x80/")
    body = zlib.compress(content)
    data = f"{state.SCHEMA}\n{hashlib.sha256(body).hexdigest()}\nunsigned\n".encode() + body
    with pytest.raises(ConfigurationError, match=r"\A--state: x is damaged: .*utf-8"):
        state.decode(data, "x")


def test_what_is_wrong_with_a_manifest_is_said_in_one_line_that_no_terminal_obeys() -> None:
    from tests.snapshot.test_manifest import GOOD

    with pytest.raises(manifest.NotASnapshotError) as raised:
        manifest.decode(msgspec.json.encode({**GOOD, "\x1b[2J\n": 1}))
    assert not {"\x1b", "\n"} & set(str(raised.value))


def test_hours_that_are_owed_stay_owed_where_two_runs_together_know_the_whole_day() -> None:
    """What both saved was refused as damaged by every run after: hours were owed that had become part of a day."""

    def half(hours: range, owed: tuple[int, ...]) -> State:
        held = a_state(*(stretch(hour) for hour in hours))
        return replace(held, regions=(replace(held.regions[0], owed=owed),))

    merged = merge(half(range(12), (5,)), half(range(12, 24), (12, 13)))
    assert state.decode(state.encode(merged), "x") == merged
    (region,) = merged.regions
    assert [(item.start, item.length) for item in region.stretches] == [(0, 24)]
    assert region.owed == (0,)
    apart = merge(half(range(5), (3,)), half(range(7, 9), (8, 40)))
    assert apart.regions[0].owed == (3, 8)


class TestWitness:
    """Events that a source tells, held against those of logs."""

    EVENT: ClassVar = {"eventID": "e", "eventTime": "2026-01-01T00:00:00Z", "userIdentity": {"type": "Root"}}

    def told(self, **changes: Any) -> witness.Told | None:
        return witness.read_told(
            msgspec.json.encode({**self.EVENT, **changes}), witness.Source.GROUP, "1" * 12, "us-east-1"
        )

    def test_a_field_that_only_one_side_has_within_an_object_is_shown_as_none(self) -> None:
        """The value of what is absent was written as JSON, which it is not: the run ended in an error of its own."""
        told = self.told(userIdentity={"type": "Root", "arn": "arn:aws:iam::111122223333:root"})
        assert told is not None
        held = witness.Held(Locator("b", "k"), True, msgspec.json.encode(self.EVENT))
        found = witness.differing(told, held, events.parse, events.differences)
        assert found is not None
        finding = witness.differs(told, held, found, events.shown)
        assert (finding.expected, finding.actual) == ('"arn:aws:iam::111122223333:root"', None)

    @pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
    def test_an_event_of_no_time_in_which_any_can_be_is_none(self, time: str) -> None:
        """Adding to its time raised OverflowError."""
        assert self.told(eventTime=time) is None
        assert self.told() is not None
