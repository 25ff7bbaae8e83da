"""Whatever the control plane answers: a report, or one of the documented errors, and no accusation."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import AccessError, ConfigurationError, run
from cloudtrail_validate.core.errors import InternalError
from cloudtrail_validate.runtime.limits import Timeouts
from tests.aws.kit import REGION, trail_in
from tests.fuzz.drive import FACTOR
from tests.servers.internet import Internet, Reply, Visit

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

CASES = 12 * FACTOR  # runs a seed, each with several answers mutated
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e300,
    2**70,
    "",
    "x" * 5000,
    "\x00\x1b[2J\ud800",
    [],
    [None],
    {},
    {"a": {"b": []}},
    "2026-13-45T99:00:00Z",
    [[[[]]]],
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"x-amz-bucket-region": "nowhere"},
    {"x-amz-bucket-region": ""},
    {"x-amz-bucket-region": "../../etc"},
    {"content-type": "text/html"},
    {"x-amzn-errortype": "Ex\x7fpired"},
)
BRISK = Timeouts(connect=2.0, read=2.0, retries=0, give_up=0.5)


class Gremlin:
    """Spoils answers now and then; objects and listings are left alone, since those are evidence."""

    def __init__(self, net: Internet, seed: int) -> None:
        self._net = net
        self._random = random.Random(seed)
        self.spoilt: list[str] = []

    def __call__(self, visit: Visit) -> Reply | None:
        evidence = visit.place.service == "s3" and visit.method == "GET" and "versions" not in visit.query
        if (evidence and "lifecycle" not in visit.query) or self._random.random() < 0.4:
            return None
        true = self._net.forward(visit)
        spoilt = self._spoil(true)
        self.spoilt.append(f"{visit.host} {visit.operation} {spoilt.status} {spoilt.body[:80]!r}")
        return spoilt

    def _spoil(self, true: Reply) -> Reply:
        odd = self._random
        headers = {**true.headers, **odd.choice(HEADERS)}
        status = odd.choice((true.status,) * 6 + (200, 204, 301, 307, 400, 403, 404, 500, 503))
        body = odd.choice((self._json, self._cut, self._noise, self._deep))(true.body)
        return Reply(status, body, headers)

    def _json(self, body: bytes) -> bytes:
        try:
            value = json.loads(body)
        except ValueError:
            return self._tags(body)
        return json.dumps(self._changed(value)).encode()

    def _changed(self, value: Any) -> Any:
        if isinstance(value, dict) and value and self._random.random() < 0.8:
            name = self._random.choice(sorted(value))
            return {**value, name: self._changed(value[name])}
        if isinstance(value, list) and value and self._random.random() < 0.8:
            return [self._changed(value[0]), *value[1:]]
        return self._random.choice(ODD)

    def _tags(self, body: bytes) -> bytes:
        parts = body.split(b"<")
        place = self._random.randrange(len(parts))
        parts[place] = self._random.choice((b"x>", b"Arn>", b"/Arn>&", b"![CDATA[", parts[place] * 2))
        return b"<".join(parts)

    def _cut(self, body: bytes) -> bytes:
        return body[: self._random.randrange(len(body) + 1)]

    def _noise(self, _: bytes) -> bytes:
        return self._random.randbytes(self._random.randrange(200))

    def _deep(self, _: bytes) -> bytes:
        opening = self._random.choice((b"[", b'{"trailList":', b"<a>"))
        return opening * 20_000


@pytest.mark.parametrize("seed", range(4))
def test_no_answer_of_the_control_plane_accuses_or_escapes(
    net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    trail = trail_in(net, aws_server)
    for case in range(CASES):
        gremlin = Gremlin(net, seed * 10_000 + case)
        net.answers[:] = [gremlin]
        options: dict[str, Any] = {"trail_arn": trail.arn} if case % 2 else {}
        try:
            report = run(
                trail.request(versions=True, lookup_events=True, **options),
                now=trail.simulation.manifest.as_of,
                timeouts=BRISK,
            ).report
        except InternalError as error:
            raise AssertionError("\n".join((str(error), *gremlin.spoilt))) from error
        except (AccessError, ConfigurationError) as error:
            assert not {"\n", "\x1b"} & set(str(error))  # noqa: PT017  # either outcome is right
        else:
            assert report.exit_code in (0, 3), gremlin.spoilt
            assert not any("internal error" in finding.message for finding in report.findings), gremlin.spoilt
