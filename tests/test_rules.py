from __future__ import annotations

import re

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules import RULES, Rule

# The contract's table, written out by hand.
CONTRACT = {
    "digest-missing": "missing",
    "digest-malformed": "altered",
    "digest-signature-invalid": "altered",
    "digest-signature-missing": "altered",
    "digest-key-unknown": "altered",
    "digest-algorithm-unsupported": "altered",
    "digest-moved": "altered",
    "digest-trailing-data": "altered",
    "digest-link-broken": "altered",
    "digest-unlinked": "notice",
    "digest-unreadable": "unverifiable",
    "log-altered": "altered",
    "log-malformed": "altered",
    "log-trailing-data": "altered",
    "log-missing": "missing",
    "log-extra": "extra",
    "log-unreadable": "unverifiable",
    "log-undigested": "unverifiable",
    "log-pending": "notice",
    "log-rewritten": "notice",
    "gap-broken": "uncovered",
    "gap-restart": "uncovered",
    "gap-late-start": "uncovered",
    "gap-tail": "uncovered",
    "chain-absent": "uncovered",
    "history-rewritten": "altered",
    "chain-restart": "notice",
    # Beyond the contract's table: results of CloudTrail Lake queries.
    "lake-result-altered": "altered",
    "lake-result-renamed": "altered",
    "lake-result-missing": "missing",
    "lake-result-extra": "extra",
    "lake-result-unreadable": "unverifiable",
    "lake-sign-missing": "missing",
    "lake-sign-malformed": "altered",
    "lake-sign-unreadable": "unverifiable",
    "lake-signature-invalid": "altered",
    "lake-key-unknown": "altered",
    "lake-algorithm-unsupported": "altered",
    "lake-moved": "altered",
    # What independent sources say.
    "witness-event-absent": "unverifiable",
    "witness-event-differs": "altered",
}
EVERY = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))


def test_the_rules_are_those_of_the_contract_in_its_order() -> None:
    assert {rule.id: rule.status.value for rule in RULES.values()} == CONTRACT
    assert list(RULES) == list(CONTRACT)


def test_every_constant_names_a_rule() -> None:
    constants = {value for name, value in vars(rules).items() if name.isupper() and isinstance(value, str)}
    assert {value for value in constants if re.fullmatch("[a-z-]+", value)} == set(RULES)


def test_only_an_unknown_key_has_a_second_status() -> None:
    assert {rule.id: rule.also for rule in RULES.values() if rule.also} == {
        "digest-key-unknown": Status.UNVERIFIABLE,
        "lake-key-unknown": Status.UNVERIFIABLE,
    }


def test_tolerate_takes_what_is_uncovered_or_unverifiable_and_nothing_else() -> None:
    assert {rule.id for rule in RULES.values() if rule.tolerable} == {
        "digest-key-unknown",
        "digest-unreadable",
        "log-unreadable",
        "log-undigested",
        "gap-broken",
        "gap-restart",
        "gap-late-start",
        "gap-tail",
        "chain-absent",
        "lake-key-unknown",
        "lake-result-unreadable",
        "lake-sign-unreadable",
        "witness-event-absent",
    }


@EVERY
def test_every_text_is_plain_whole_sentences(rule: Rule) -> None:
    assert rule.title
    assert len(rule.title) <= 36  # with id and status in 80 columns
    assert not rule.title.endswith(".")
    for text in (rule.when, rule.means, rule.does_not_mean, *rule.next_steps):
        assert text.endswith((".", "?"))
        assert text[0].isupper()
        assert text.isascii()
        assert text.isprintable()
        assert "  " not in text
        assert not re.search(r"[`*_]{2}|`|<[a-z]+>", text)


@EVERY
def test_a_responder_gets_two_to_five_different_steps(rule: Rule) -> None:
    assert 2 <= len(rule.next_steps) <= 5
    assert len(set(rule.next_steps)) == len(rule.next_steps)


@EVERY
def test_rules_that_a_text_mentions_exist(rule: Rule) -> None:
    text = " ".join((rule.when, rule.means, rule.does_not_mean, *rule.next_steps))
    mentioned = set(re.findall(r"(?<![-\w])(?:digest|log|gap|chain|lake|witness)-[a-z-]+", text))
    assert mentioned <= set(RULES)


@pytest.mark.parametrize("field", ["title", "when", "means"])
def test_no_two_rules_say_the_same(field: str) -> None:
    texts = [
        (rule.id.partition("-")[0], getattr(rule, field))
        for rule in RULES.values()
        if not rule.id.endswith("unreadable")
    ]
    assert len(set(texts)) == len(texts)
