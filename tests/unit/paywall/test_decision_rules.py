"""Every decision the rules can give, as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.paywall.decisions.rules import (
    Action,
    Facts,
    MeterState,
    Reason,
    Right,
    decide,
    fall_back,
)
from services.paywall.policies.rules import FailureMode, Policy, Rule, Then

NOW = datetime(2026, 7, 15, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
POLICY = Policy(
    "bao-hung-yen",
    4,
    3,
    5,
    (
        Rule("free", "free", Then.FREE),
        Rule("premium", "premium", Then.SUBSCRIBERS),
        Rule("metered", None, Then.METERED),
    ),
    FailureMode.OPEN,
    0.25,
)
RIGHT = Right("site", NOW - timedelta(days=1), LATER)
UNLOCKED = MeterState(3, 3, True, LATER)
EXHAUSTED = MeterState(3, 3, False, LATER)


def facts(access: str = "metered", **more: object) -> Facts:
    return Facts(POLICY, access, **more)


@pytest.mark.parametrize(
    ("given_facts", "granted", "reason", "action", "rule"),
    [
        (facts("free"), True, Reason.FREE, Action.NONE, "free"),
        (facts("premium"), False, Reason.SUBSCRIPTION_REQUIRED, Action.SUBSCRIBE, "premium"),
        (facts(meter=UNLOCKED), True, Reason.METERING, Action.NONE, "metered"),
        (facts(meter=EXHAUSTED), False, Reason.METER_EXHAUSTED, Action.REGISTER, "metered"),
        (
            facts(meter=EXHAUSTED, signed_in=True),
            False,
            Reason.METER_EXHAUSTED,
            Action.SUBSCRIBE,
            "metered",
        ),
        (
            facts(meter=MeterState(0, 0, False, LATER)),
            False,
            Reason.REGISTRATION_REQUIRED,
            Action.REGISTER,
            "metered",
        ),
        (
            facts(meter=MeterState(0, 0, False, LATER), signed_in=True),
            False,
            Reason.SUBSCRIPTION_REQUIRED,
            Action.SUBSCRIBE,
            "metered",
        ),
        (
            facts(meter=MeterState(1, 1, False, LATER), signed_in=True),
            False,
            Reason.METER_EXHAUSTED,
            Action.SUBSCRIBE,
            "metered",
        ),
        (facts("premium", exemption=Reason.CRAWLER), True, Reason.CRAWLER, Action.NONE, "premium"),
        (facts("premium", single_article=Reason.GIFT), True, Reason.GIFT, Action.NONE, "premium"),
        (
            facts(network_exhausted=True),
            False,
            Reason.NETWORK_EXHAUSTED,
            Action.REGISTER,
            "metered",
        ),
        (facts(rights=(RIGHT,)), True, Reason.SUBSCRIBER, Action.NONE, "metered"),
        (facts("premium", rights=(RIGHT,)), True, Reason.SUBSCRIBER, Action.NONE, "premium"),
    ],
)
def test_each_set_of_facts_has_its_typed_answer(given_facts, granted, reason, action, rule):
    decision = decide(given_facts, NOW)
    assert decision is not None
    assert (decision.granted, decision.reason, decision.action, decision.rule_id) == (
        granted,
        reason,
        action,
        rule,
    )
    assert decision.meter is given_facts.meter, "what the meter said is part of the answer"
    assert not decision.degraded


def test_a_metered_article_waits_for_the_meter_and_nothing_else_does():
    assert decide(facts("metered"), NOW) is None
    assert decide(facts("free"), NOW) is not None
    assert decide(facts("premium"), NOW) is not None


def test_precedence_is_entitlement_then_exemption_then_purchase_then_meter():
    everything = facts(
        "premium",
        rights=(RIGHT,),
        exemption=Reason.CAMPUS,
        single_article=Reason.GIFT,
        meter=EXHAUSTED,
        article="a1",
    )
    bought = Right("article:a1", NOW - timedelta(days=1), LATER)
    order = [replace(everything, rights=(bought, RIGHT))]
    order.append(replace(order[-1], rights=(bought,)))
    order.append(replace(order[-1], exemption=None))
    order.append(replace(order[-1], single_article=None))
    order.append(replace(order[-1], rights=(), access="metered"))
    assert [decide(step, NOW).reason for step in order] == [
        Reason.SUBSCRIBER,
        Reason.CAMPUS,
        Reason.GIFT,
        Reason.PURCHASE,
        Reason.METER_EXHAUSTED,
    ]


@pytest.mark.parametrize(
    ("right", "opens"),
    [
        (Right("site", NOW, LATER), True),
        (Right("site", NOW - timedelta(days=2), NOW), False),
        (Right("site", NOW + timedelta(microseconds=1), LATER), False),
        (Right("epaper", NOW, LATER), False),
        (Right("article:a1", NOW, LATER), True),
        (Right("article:a1", NOW - timedelta(days=2), NOW), False),
        (Right("article:a10", NOW, LATER), False),
        (Right("article:", NOW, LATER), False),
        (Right("a1", NOW, LATER), False),
    ],
)
def test_a_right_opens_from_its_start_until_before_its_end_and_only_its_scope(right, opens):
    asked = facts("premium", rights=(right,), article="a1")
    assert decide(asked, NOW).granted is opens


def test_registering_is_not_offered_where_it_brings_nothing_more():
    same = replace(POLICY, registered_allowance=3)
    decision = decide(Facts(same, "metered", meter=EXHAUSTED), NOW)
    assert decision.action is Action.SUBSCRIBE


@pytest.mark.parametrize(
    ("mode", "granted", "action"),
    [("open", True, Action.NONE), ("closed", False, Action.SUBSCRIBE)],
)
@pytest.mark.parametrize("access", ["metered", "premium"])
def test_the_failure_mode_says_so_and_does_what_it_declares(mode, granted, action, access):
    found = fall_back(Facts(replace(POLICY, failure_mode=FailureMode(mode)), access))
    assert (found.granted, found.reason, found.degraded) == (granted, Reason.FALLBACK, True)
    assert (found.action, found.rule_id) == (action, access)


states = st.builds(
    MeterState, st.integers(0, 10), st.integers(0, 20), st.booleans(), st.just(LATER)
)


@given(
    st.sampled_from(["free", "metered", "premium"]),
    st.booleans(),
    st.booleans(),
    st.none() | st.sampled_from([Reason.CAMPUS, Reason.CRAWLER, Reason.OVERRIDE]),
    st.none() | st.sampled_from([Reason.GIFT, Reason.PURCHASE]),
    states,
)
def test_every_answer_is_consistent(access, signed_in, entitled, exemption, single, meter):
    decision = decide(
        Facts(
            POLICY,
            access,
            signed_in=signed_in,
            rights=(RIGHT,) if entitled else (),
            exemption=exemption,
            single_article=single,
            meter=meter,
        ),
        NOW,
    )
    assert decision is not None, "with the meter's state known there is always an answer"
    assert (decision.action is Action.NONE) == decision.granted
    assert meter.left >= 0
    if entitled or exemption or single or access == "free":
        assert decision.granted
    elif access == "premium":
        assert not decision.granted
    else:
        assert decision.granted is meter.unlocked
    if signed_in:
        assert decision.action is not Action.REGISTER


def test_a_registered_reader_has_the_registered_allowance():
    assert POLICY.allowance(signed_in=False) == 3
    assert POLICY.allowance(signed_in=True) == 5


def test_a_policy_whose_last_rule_leaves_articles_out_is_no_policy():
    with pytest.raises(ValueError, match=r"^a policy's last rule must match every article$"):
        decide(Facts(replace(POLICY, rules=POLICY.rules[:2]), "metered"), NOW)
