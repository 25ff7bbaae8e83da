"""What options and small files are read as: shards, rechecks, executors, regions, sidecars, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.executor import Auto, DaskCluster, LocalProcesses, parse_executor
from cloudtrail_validate.core.model import Interval, ObjectInfo
from cloudtrail_validate.core.recheck import Recheck, parse_recheck
from cloudtrail_validate.core.regions import choose_region, partition_of
from cloudtrail_validate.core.shards import MOST_SHARDS, Shard, check_total, deal, parse_shard
from cloudtrail_validate.core.sidecar import read_sidecar, write_sidecar
from cloudtrail_validate.core.times import is_sound, is_window, times_in

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class TestShard:
    def test_is_read(self) -> None:
        assert parse_shard("3/10") == Shard(3, 10)
        assert str(Shard(3, 10)) == "3/10"
        assert check_total(MOST_SHARDS) == MOST_SHARDS

    @pytest.mark.parametrize("text", ["", "0/1", "2/1", "1/0", "1", "1/2/3", "-1/2", "1/10001", " 1/2", "١/٢", "1/2\n"])
    def test_of_none_is_refused(self, text: str) -> None:
        with pytest.raises(RequestError, match="--shard: expected I/N"):
            parse_shard(text)

    @pytest.mark.parametrize("total", [0, -1, MOST_SHARDS + 1])
    def test_number_is_bounded(self, total: int) -> None:
        with pytest.raises(RequestError, match="--shards"):
            check_total(total)

    def test_deals_the_regions_of_one_account_to_different_shards(self) -> None:
        places = [("", account, region) for account in ("1", "2", "3", "4") for region in ("eu", "us")]
        dealt = deal(reversed(places), 4)
        assert dealt == deal(places, 4)
        assert sorted(dealt.values()) == sorted([1, 2, 3, 4] * 2)
        assert {dealt["", account, "eu"] for account in "1234"} == {1, 2, 3, 4}


class TestRecheck:
    @pytest.mark.parametrize(
        ("text", "read"),
        [
            ("1/30", Recheck(part=1, parts=30)),
            ("5%", Recheck(percent=5)),
            ("100%", Recheck(percent=100)),
            ("30d", Recheck(days=30)),
        ],
    )
    def test_is_read(self, text: str, read: Recheck) -> None:
        assert parse_recheck(text) == read

    @pytest.mark.parametrize("text", ["", "0/30", "31/30", "0%", "101%", "0d", "30", "5 %", "1/0", "٥%", "1e2%"])
    def test_of_none_is_refused(self, text: str) -> None:
        with pytest.raises(RequestError, match="--recheck: expected"):
            parse_recheck(text)


class TestExecutor:
    @pytest.mark.parametrize(
        ("text", "read"),
        [
            ("auto", Auto()),
            ("local", LocalProcesses(None)),
            ("local:4", LocalProcesses(4)),
            ("dask:tcp://10.0.0.1:8786", DaskCluster("tcp://10.0.0.1:8786")),
            ("dask:scheduler.json", DaskCluster("scheduler.json")),
        ],
    )
    def test_is_read(self, text: str, read: object) -> None:
        assert parse_executor(text) == read

    @pytest.mark.parametrize("text", ["", "local:", "local:0", "local:513", "dask:", "dask", "ray:x", "LOCAL"])
    def test_of_none_is_refused(self, text: str) -> None:
        with pytest.raises(RequestError, match="--executor: expected"):
            parse_executor(text)


class TestRegion:
    ARN = "arn:aws-us-gov:cloudtrail:us-gov-east-1:111122223333:trail/management-events"

    def test_comes_from_the_trail_the_option_the_session_and_the_environment_in_this_order(self) -> None:
        environ = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}
        steps: list[tuple[dict[str, Any], str]] = [
            ({"trail_arn": self.ARN, "asked": ("sa-east-1",)}, "us-gov-east-1"),
            ({"asked": ("sa-east-1", "x"), "explicit": "ca-central-1"}, "sa-east-1"),
            ({"explicit": "ca-central-1", "configured": "eu-west-3"}, "ca-central-1"),
            ({"configured": "eu-west-3"}, "eu-west-1"),
        ]
        for given, region in steps:
            assert choose_region(environ=environ, **given) == region
        assert choose_region(environ={}, configured="eu-west-3") == "eu-west-3"

    def test_follows_the_partition_where_nothing_is_said(self) -> None:
        assert choose_region(environ={}) == "us-east-1"
        assert choose_region(environ={}, role_arn="arn:aws-cn:iam::111122223333:role/x") == "cn-north-1"
        assert choose_region(environ={}, like="us-gov-east-1") == "us-gov-west-1"

    def test_passes_over_what_is_no_region(self) -> None:
        assert choose_region(environ={"AWS_REGION": " "}, configured="eu-west-3") == "eu-west-3"
        assert choose_region(environ={"AWS_REGION": "none"}, configured="eu-west-3") == "eu-west-3"
        assert choose_region(environ={"AWS_REGION": "none"}) == "none"  # botocore says what is wrong with it

    @pytest.mark.parametrize(
        ("region", "partition"),
        [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-isob-east-1", "aws-iso-b"),
            ("", "aws"),
        ],
    )
    def test_has_a_partition(self, region: str, partition: str) -> None:
        assert partition_of(region) == partition


class TestSidecar:
    def test_is_read_as_it_was_written(self) -> None:
        held = {"signature": "ab", "Signature-Algorithm": "SHA256withRSA", "ü": "\x1b"}
        assert read_sidecar(write_sidecar(held)) == held
        assert write_sidecar({"b": "1", "a": "2"}) == write_sidecar({"a": "2", "b": "1"})

    @pytest.mark.parametrize(
        "content", [b"", b"[]", b"null", b'{"a":1}', b'{"a":null}', b"\xff", b'{"a":"\xff"}', b"[" * 9_999]
    )
    def test_of_anything_else_holds_nothing(self, content: bytes) -> None:
        assert read_sidecar(content) == {}


class TestTimes:
    def test_are_found_wherever_they_are(self) -> None:
        held = {"a": (WHEN, [Interval(WHEN, WHEN)]), "b": {"c": WHEN}, "d": "2026"}
        assert list(times_in(held)) == [WHEN] * 4

    def test_of_a_listed_object_are_its_own_affair(self) -> None:
        assert list(times_in([ObjectInfo("k", 1, datetime(1, 1, 1, tzinfo=UTC))])) == []

    @pytest.mark.parametrize(
        ("moment", "sound"),
        [
            (WHEN, True),
            (WHEN.replace(tzinfo=None), False),
            (WHEN.astimezone(timezone(timedelta(hours=1))), False),
            (WHEN.replace(year=1970), True),
            (WHEN.replace(year=1969), False),
            (WHEN.replace(year=8999), True),
            (WHEN.replace(year=9000), False),
        ],
    )
    def test_can_be_reckoned_with(self, moment: datetime, *, sound: bool) -> None:
        assert is_sound(moment) is sound

    def test_make_a_window(self) -> None:
        assert is_window(Interval(WHEN, WHEN + timedelta(hours=1)))
        assert not is_window(Interval(WHEN, WHEN))
        assert not is_window(Interval(WHEN, WHEN.replace(year=2077)))
