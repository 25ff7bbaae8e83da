"""What is asked of AWS, how often, and what becomes of refusals and of answers that are none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.examine import examine
from cloudtrail_validate.doctor.facts import Scope, Trail
from cloudtrail_validate.doctor.model import Ask, Health, Unread
from cloudtrail_validate.doctor.registry import CHECKS
from tests.doctor.worlds import Asked, gathered, healthy
from tests.servers.answers import World

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from tests.servers.answers import AnswerServer

ALL: Final = {name: ask for name, ask in vars(asks).items() if isinstance(ask, Ask)}
DENIED: Final = {"error": "AccessDenied", "status": 403}
QUIET: Final = {"self-permissions", "validated-lately"}  # they ask nothing that can be denied


def with_calls(**calls: Any) -> World:
    base = healthy()
    return World({**base.calls, **{name.replace("__", ":"): answer for name, answer in calls.items()}}, base.objects)


def denying(*denied: Ask, **calls: Any) -> World:
    base = with_calls(**calls)
    return World({**base.calls, **{ask.name: DENIED for ask in denied}}, base.objects)


def one_trail(**changes: Any) -> dict[str, Any]:
    """The healthy world's trail alone, changed."""
    first = healthy().calls["cloudtrail:DescribeTrails"]["trailList"][0]
    return {"cloudtrail__DescribeTrails": {"trailList": [{**first, **changes}]}}


UNSETTLED: Final[dict[str, dict[str, Any]]] = {
    "trail-second-copy": one_trail(),
    "trail-organization": one_trail(IsOrganizationTrail=False),
}
"""Worlds of checks that the trail alone settles in the healthy one."""


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in QUIET])
def test_a_check_whose_questions_are_denied_is_unknown_and_says_what_is_missing(
    name: str, answers: AnswerServer, auditor: Aws
) -> None:
    check = CHECKS[name]
    denied = set(check.asks) - {asks.GET_CALLER_IDENTITY, *(asks.TRAIL if len(check.asks) > 2 else ())}
    world = denying(*denied, *({asks.GET_TRAIL} if asks.DESCRIBE_TRAILS in denied else ()), **UNSETTLED.get(name, {}))
    facts = gathered(answers, auditor, world, checks=[check])
    ((_, answer),) = examine(facts, [check]).answers
    assert answer.health is Health.UNKNOWN, answer.evidence
    assert answer.missing
    grants = {action for ask in (*denied, asks.GET_TRAIL) for action in ask.grants}
    assert set(answer.missing) <= grants
    assert {unread.action for unread in facts.denied} >= set(answer.missing)


def test_every_question_is_asked_once(answers: AnswerServer, auditor: Aws) -> None:
    base = healthy()
    world = World(base.calls, base.objects)
    gathered(answers, auditor, world)
    assert {question: number for question, number in world.asked.items() if number > 1} == {}
    asked = {name for name, *_ in world.asked}
    ways = {asks.GET_TRAIL.name, asks.DESCRIBE_REGIONS.name, asks.GET_ROLE.name}  # asked where another is denied
    organization = {asks.LIST_PARENTS.name, asks.LIST_POLICIES.name, asks.DESCRIBE_POLICY.name}
    alarms = {asks.DESCRIBE_ALARMS.name}
    assert asked == {ask.name for ask in ALL.values()} - ways - organization - alarms


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_asks_no_more_than_it_says(name: str, answers: AnswerServer, auditor: Aws) -> None:
    base = healthy()
    world = World(base.calls, base.objects)
    gathered(answers, auditor, world, checks=[CHECKS[name]])
    said = {ask.name for ask in CHECKS[name].asks} | {ask.name for ask in asks.TRAIL}
    assert {name for name, *_ in world.asked} <= said


def test_nothing_is_asked_that_could_change_anything() -> None:
    for ask in ALL.values():
        assert ask.operation.startswith(("Get", "List", "Describe", "Head", "Simulate")), ask


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize(
    "answer",
    [
        {"error": "ThrottlingException", "status": 400},
        {"error": "InternalError", "status": 500},
        {"error": "SlowDown", "status": 503},
        {"error": "UnrecognizedClientException", "status": 403},
        {},
    ],
    ids=["throttled", "failed", "slow", "no-region", "empty"],
)
def test_no_answer_makes_an_examination_fail(
    name: str, answer: dict[str, Any], answers: AnswerServer, auditor: Aws
) -> None:
    base = healthy()
    facts = gathered(answers, auditor, World({**base.calls, ALL[name].name: answer}, base.objects))
    examined = examine(facts, CHECKS.values())
    assert len(examined.answers) + len(examined.skipped) == len(CHECKS)


@pytest.mark.parametrize("status", [200, 403, 502])
def test_an_answer_that_is_not_aws_s_is_no_answer(status: int, answers: AnswerServer, auditor: Aws) -> None:
    base = healthy()
    page = {"raw": "<html><body>Sign in to the hotel's network</body></html>", "status": status}
    world = World(dict.fromkeys(base.calls, page), base.objects)
    facts = gathered(answers, auditor, world)
    assert isinstance(facts.trail, Unread)
    found = {answer.health for _, answer in examine(facts, CHECKS.values()).answers}
    assert found <= {Health.OK, Health.UNKNOWN, Health.WEAK}  # nothing is said to be bad for want of an answer


def test_throttling_is_no_denial(answers: AnswerServer, auditor: Aws) -> None:
    world = with_calls(s3__GetBucketVersioning={"error": "SlowDown", "status": 503})
    facts = gathered(answers, auditor, world)
    assert isinstance(facts.bucket.versioning, Unread)
    assert facts.bucket.versioning.cause is Cause.THROTTLED
    assert facts.denied == ()


def test_the_action_that_aws_names_is_the_one_that_is_missing(answers: AnswerServer, auditor: Aws) -> None:
    message = (
        "User: arn:aws:iam::111122223333:user/auditor is not authorized to perform: kms:GetKeyPolicy on resource: x"
    )
    denied = {"error": "AccessDeniedException", "status": 400, "message": message}
    facts = gathered(answers, auditor, with_calls(kms__GetKeyPolicy=denied))
    assert [unread.action for unread in facts.denied] == ["kms:GetKeyPolicy"]


def test_a_second_way_to_an_answer_makes_up_for_the_first(answers: AnswerServer, auditor: Aws) -> None:
    facts = gathered(answers, auditor, denying(asks.DESCRIBE_TRAILS, asks.LIST_REGIONS))
    assert isinstance(facts.trail, Trail)
    assert facts.regions == ("us-east-1", "eu-west-1", "ap-northeast-1")
    assert facts.denied == ()


def test_the_only_trail_is_taken_and_several_are_a_question(answers: AnswerServer, auditor: Aws) -> None:
    base = healthy()
    nobody = Asked(trail_arn="").scope
    both = base.calls["cloudtrail:DescribeTrails"]["trailList"]
    alone = with_calls(cloudtrail__DescribeTrails={"trailList": both[:1]})
    assert isinstance(gathered(answers, auditor, alone, nobody).trail, Trail)
    with pytest.raises(RequestError, match=r"expected one of .*trail/management-events, .*trail/second"):
        gathered(answers, auditor, World(base.calls, base.objects), nobody)
    by_bucket = gathered(answers, auditor, World(base.calls, base.objects), Scope(bucket="amzn-s3-demo-bucket2"))
    assert isinstance(by_bucket.trail, Trail)
    assert by_bucket.trail.name == "second"


def test_a_bucket_without_a_visible_trail_is_examined_all_the_same(answers: AnswerServer, auditor: Aws) -> None:
    base = healthy()
    facts = gathered(answers, auditor, World(base.calls, base.objects), Scope(bucket="amzn-s3-demo-bucket3"))
    found = {check.id: answer for check, answer in examine(facts, CHECKS.values()).answers}
    assert found["trail-exists"].health is Health.UNKNOWN
    assert "give --trail-arn" in found["trail-exists"].evidence
    assert found["bucket-versioning"].health is Health.OK
    assert found["bucket-policy-tls"].health is not Health.UNKNOWN


def test_a_trail_of_another_account_is_not_absent(answers: AnswerServer, auditor: Aws) -> None:
    base = healthy()
    other = Scope(trail_arn="arn:aws:cloudtrail:us-east-1:123456789012:trail/theirs")
    facts = gathered(answers, auditor, World(base.calls, base.objects), other)
    assert isinstance(facts.trail, Unread)
    assert "account 123456789012's" in str(facts.trail)


def test_regions_that_were_asked_for_are_the_only_ones(answers: AnswerServer, auditor: Aws) -> None:
    base = healthy()
    world = World(base.calls, base.objects)
    facts = gathered(answers, auditor, world, Asked(regions=("eu-west-1",)).scope)
    assert set(facts.statuses) == set(facts.public_keys) == {"eu-west-1"}
    regions = {region for name, region, _ in world.asked if name == "cloudtrail:GetTrailStatus"}
    assert regions == {"eu-west-1"}


def test_an_organization_of_many_accounts_is_judged_in_moments(answers: AnswerServer, auditor: Aws) -> None:
    """A thousand members and folders: questions to the policy are put once for each sort of folder."""
    base = healthy()
    members = [f"{number:012}" for number in range(1, 1_001)]
    objects = (*base.objects, *(f"AWSLogs/{account}/CloudTrail/us-east-1/x" for account in members))
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::amzn-s3-demo-bucket/AWSLogs/{account}/*",
            "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudtrail:*:{account}:trail/*"}},
        }
        for account in members[:100]
    ]
    calls = {
        **base.calls,
        "organizations:ListAccounts": {"Accounts": [{"Id": account, "Status": "ACTIVE"} for account in members]},
        "s3:GetBucketPolicy": {"Policy": json.dumps({"Statement": statements})},
    }
    facts = gathered(answers, auditor, World(calls, objects))
    found = {check.id: answer for check, answer in examine(facts, CHECKS.values()).answers}
    assert "and 995 more" in found["bucket-policy-accounts"].evidence
