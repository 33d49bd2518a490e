"""Identity's decisions: how often one may try, how long a session lives, what a password is, where one may go."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import identity
from services.identity.accounts import rules as accounts
from services.identity.authenticators import rules as attempts
from services.identity.factors import rules as factors
from services.identity.invitations import rules as invitations
from services.identity.keys import rules as keys
from services.identity.keys.pages import SCOPE_WORDS
from services.identity.passwords import rules as passwords
from services.identity.sessions import rules as sessions
from services.identity.settings import IdentitySettings
from shared.auth.roles import Role, Scope
from shared.passwords.strength import Zxcvbn
from shared.passwords.words import folded, guessable_words, variants
from shared.web.i18n import load_catalogues

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OWN = "http://127.0.0.1:8005"
ADS = "https://ads.example.vn"


def fail_times(times: int, start: datetime = NOW) -> attempts.Attempts:
    """That many failures, each as soon as one may try."""
    state, now = attempts.Attempts(), start
    for _ in range(times):
        now = max(now, state.locked_until or now)
        verdict = attempts.begin_attempt(state, now)
        assert isinstance(verdict, attempts.Allowed)
        state = verdict.after
    return state


def test_the_fifth_failure_locks_for_fifteen_minutes():
    assert fail_times(4).locked_until is None
    assert fail_times(5).locked_until == NOW + 15 * MINUTE


def test_nobody_tries_while_locked_and_everybody_may_at_the_end_of_the_lock():
    state = fail_times(5)
    assert state.locked_until is not None
    just_before = state.locked_until - timedelta(microseconds=1)
    assert attempts.begin_attempt(state, just_before) == attempts.Locked(state.locked_until)
    assert isinstance(attempts.begin_attempt(state, state.locked_until), attempts.Allowed)


@pytest.mark.parametrize(
    ("failures", "minutes"), [(5, 15), (6, 30), (7, 60), (8, 120), (9, 240), (10, 240), (99, 240)]
)
def test_each_further_failure_doubles_the_lock_up_to_four_hours(failures, minutes):
    assert attempts.lock_duration(failures) == minutes * MINUTE


def test_a_day_without_failures_forgets_them():
    state = fail_times(4)
    later = attempts.begin_attempt(state, NOW + timedelta(hours=24))
    assert isinstance(later, attempts.Allowed)
    assert later.after.failures == 1


@given(st.lists(st.integers(min_value=0, max_value=3600), max_size=60))
def test_no_pattern_of_waiting_gives_more_than_five_tries_in_fifteen_minutes(pauses):
    state, now, tried = attempts.Attempts(), NOW, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        verdict = attempts.begin_attempt(state, now)
        if isinstance(verdict, attempts.Allowed):
            tried.append(now)
            state = verdict.after
    for index in range(5, len(tried)):
        assert tried[index] - tried[index - 5] >= 15 * MINUTE or index < 5


def test_beyond_its_number_of_failures_a_network_waits_a_moment_for_each_further_try():
    pause, failed = timedelta(seconds=5), []
    for n in range(50):
        failed = attempts.begin_paced_attempt(failed, 50, pause, NOW + n * timedelta(seconds=1))
        assert not isinstance(failed, attempts.Locked)
    now = NOW + timedelta(seconds=50)
    last = failed[-1]
    assert attempts.begin_paced_attempt(failed, 50, pause, now) == attempts.Locked(last + pause)
    after = attempts.begin_paced_attempt(failed, 50, pause, last + pause)
    assert not isinstance(after, attempts.Locked)
    assert len(after) == 50, "a row of bounded size"


def test_the_window_of_failures_slides():
    pause, failed = timedelta(seconds=5), [NOW + n * MINUTE for n in range(5)]
    just_before = NOW + attempts.PACE_WINDOW - timedelta(microseconds=1)
    crowded = [*failed[:-1], just_before - timedelta(seconds=1)]
    assert isinstance(attempts.begin_paced_attempt(crowded, 5, pause, just_before), attempts.Locked)
    later = NOW + attempts.PACE_WINDOW
    assert not isinstance(
        attempts.begin_paced_attempt(crowded, 5, pause, later), attempts.Locked
    ), "the oldest has left the window"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("not an address", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_network_is_an_ipv4_address_or_an_ipv6_subscriber(address, network):
    assert attempts.network_of(address) == network


def live(**changes) -> bool:
    facts = {
        "last_seen_at": NOW,
        "expires_at": NOW + timedelta(hours=12),
        "ended_at": None,
        "idle": timedelta(minutes=15),
        "now": NOW,
    }
    return sessions.is_live(**(facts | changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"now": NOW + timedelta(minutes=14, seconds=59)}, True),
        ({"now": NOW + timedelta(minutes=15)}, False),
        ({"now": NOW + timedelta(minutes=5), "idle": timedelta(minutes=5)}, False),
        ({"ended_at": NOW}, False),
        (
            {
                "now": NOW + timedelta(hours=12),
                "last_seen_at": NOW + timedelta(hours=12) - MINUTE,
            },
            False,
        ),
        (
            {
                "now": NOW + timedelta(hours=12) - timedelta(seconds=1),
                "last_seen_at": NOW + timedelta(hours=12) - MINUTE,
            },
            True,
        ),
    ],
)
def test_a_session_ends_when_idle_at_its_absolute_end_or_when_ended(changes, expected):
    assert live(**changes) is expected


@pytest.mark.parametrize(
    ("roles", "minutes"),
    [
        ({"a": {"seller"}}, 15),
        ({"a": {"admin"}}, 5),
        ({"a": {"seller"}, "b": {"admin", "editor"}}, 5),
        ({}, 15),
    ],
)
def test_administrators_are_locked_sooner(roles, minutes):
    assert sessions.idle_limit(roles) == minutes * MINUTE


@pytest.mark.parametrize(
    ("wanted", "goes_to"),
    [
        ("/", "/"),
        ("/keys/bao-hung-yen?x=1", "/keys/bao-hung-yen?x=1"),
        (f"{OWN}/account", f"{OWN}/account"),
        (f"{ADS}/console/bao-hung-yen?week=3#top", f"{ADS}/console/bao-hung-yen?week=3#top"),
        ("", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("\n//evil.example", "/"),
        (" //evil.example", "/"),
        *((f"/a{chr(code)}b", "/") for code in (0, 9, 32, 127)),
        ("/a!b\x80", "/a!b\x80"),
        ("https://evil.example/", "/"),
        ("http://ads.example.vn/", "/"),
        ("https://ads.example.vn.evil.example/", "/"),
        ("https://ads.example.vn@evil.example/", "/"),
        ("https://user@ads.example.vn/", "/"),
        ("https://ads.example.vn:444/", "/"),
        ("https:ads.example.vn", "/"),
        ("https:/ads.example.vn", "/"),
        ("javascript:alert(1)", "/"),
        ("data:text/html,x", "/"),
        ("https://[", "/"),
        ("evil.example", "/"),
    ],
)
def test_sign_in_leads_only_to_known_origins(wanted, goes_to):
    assert sessions.safe_next(wanted, [OWN, f"{ADS}/"]) == goes_to


@given(
    st.text(max_size=200)
    | st.builds(
        "{}{}".format,
        st.sampled_from([ADS, OWN, "/", "//", "https:", "http://", "/\\", "\t"]),
        st.text(alphabet="./\\@:?#%\t aevil", max_size=20),
    )
)
def test_no_text_leads_anywhere_else_and_none_raises(wanted):
    back = sessions.safe_next(wanted, [OWN, ADS])
    assert re.fullmatch(rf"(?:(?:{OWN}|{ADS})(?=[/?#]|$)|/(?![/\\]))[^\\\s]*", back)


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("ngắn", "too-short"),
        ("a" * 11, "too-short"),
        ("b" * 129, "too-long"),
        ("b" * 128, None),
        ("seller@bao.example", "is-email"),
        ("SELLER@bao.example", "is-email"),
        ("seller@bao.example1", "is-email"),
        ("mùa lúa chín", None),
        ("x1y2z3" * 21, None),
    ],
)
def test_a_password_is_long_enough_and_not_the_address(password, problem):
    assert passwords.password_problem(password, "seller@bao.example") == problem


def test_the_name_in_front_of_the_address_is_no_password_either():
    assert passwords.password_problem("Nguyen.Van.Anh", "nguyen.van.anh@bao.example") == "is-email"
    assert passwords.password_problem("a@b.nguyen.van", '"a@b.nguyen.van"@x') is None


@pytest.mark.parametrize(
    ("password", "will_do"),
    [
        # those of the finding M10 first
        *((one, False) for one in ("123456789012", "passwordpassword", "qwertyuiop12")),
        *((one, False) for one in ("bao-hung-yen1", "Báo Hưng Yên 2026", "Hungyen2026!!")),
        *((one, False) for one in ("matkhau123456", "anhyeuem12345", "Mật khẩu 12345")),
        *((one, False) for one in ("aaaaaaaaaaaaaaaa", "AAAAbbbb1111", "Nguyễn Văn An 1980")),
        *((one, False) for one in ("press-revenue-1", "P@ssw0rd12345", "abcdefghijkl")),
        *((one, True) for one in ("mùa lúa chín vàng 2026", "correct horse battery")),
        *((one, True) for one in ("sen tháng sáu thơm", "x1y2z3q8w0e5", "nhãn lồng tháng tám")),
    ],
)
async def test_common_passwords_and_those_made_of_names_are_refused(password, will_do):
    known = ("an.nguyen@bao-hung-yen.vn", "Nguyễn Văn An", "bao-hung-yen", "Báo Hưng Yên")
    words = guessable_words(known, passwords.PRODUCT_WORDS)
    guesses = Zxcvbn._weakest(passwords.normalise_password(password), words)
    assert (guesses >= passwords.GUESSES_LOG10_MIN) is will_do, guesses


def test_the_same_words_from_two_keyboards_are_the_same_password():
    composed, decomposed = "mùa lúa", "mu\u0300a lu\u0301a"
    assert composed != decomposed
    assert passwords.normalise_password(composed) == passwords.normalise_password(decomposed)


@given(st.text(max_size=300))
def test_whatever_is_typed_as_a_name_never_raises_and_never_keeps_control_characters(typed):
    cleaned = accounts.normalise_name(typed)
    assert cleaned is None or "\x00" not in cleaned


def test_an_account_sleeps_after_45_days_to_the_second():
    assert not accounts.is_dormant(NOW, NOW + timedelta(days=45) - timedelta(seconds=1))
    assert accounts.is_dormant(NOW, NOW + timedelta(days=45))


def test_a_one_time_password_ends_and_an_own_one_does_not():
    assert passwords.may_use_password(None, NOW)
    assert passwords.may_use_password(NOW + MINUTE, NOW)
    assert not passwords.may_use_password(NOW, NOW)


@pytest.mark.parametrize(
    ("home", "agencies", "allowed"),
    [
        ("a", ["a"], True),
        ("a", ["a", "b"], False),
        ("b", ["a"], False),
        ("b", ["a", "b"], False),
        (None, ["a"], False),
    ],
)
def test_a_password_is_handed_out_only_where_all_of_the_account_is_the_home_agencys(
    home, agencies, allowed
):
    assert accounts.may_be_handed("a", home, agencies) is allowed


def test_a_handed_password_opens_the_handing_agency_and_no_other():
    roles = {"a": frozenset({"seller"}), "b": frozenset({"admin"})}
    assert accounts.effective_roles(roles, None) == roles
    assert accounts.effective_roles(roles, "a") == {"a": frozenset({"seller"})}
    assert accounts.effective_roles({"b": frozenset({"admin"})}, "a") == {}


P, T = "password", "totp"


@pytest.mark.parametrize(
    ("factors", "facts", "step"),
    [
        ([P], "", None),
        ([P], "one-time", "password"),
        ([P], "totp", "code"),
        ([P], "totp one-time", "code"),
        ([P, T], "totp one-time", "password"),
        ([P, T], "totp", None),
        ([P, "recovery-code"], "totp admin", None),
        ([P], "admin", "enrol"),
        ([P], "admin one-time", "password"),
        ([P, T], "totp admin", None),
        (["oidc"], "admin", "enrol"),
        (["oidc", "provider-mfa"], "admin", None),
        (["oidc", "provider-mfa"], "totp", None),
        (["oidc"], "one-time", None),
        (["oidc"], "totp", "code"),
        (["invitation", P], "admin", "enrol"),
    ],
)
def test_what_is_due_follows_from_the_account_and_what_was_proved(factors, facts, step):
    words = facts.split()
    due = sessions.due_step(
        factors,
        one_time_password="one-time" in words,
        has_totp="totp" in words,
        administrator="admin" in words,
    )
    assert due == step


@pytest.mark.parametrize(
    ("present", "last_used", "allowed"),
    [(100, 0, [99, 100, 101]), (100, 99, [100, 101]), (100, 100, [101]), (100, 101, [])],
)
def test_a_codes_period_may_drift_by_one_and_never_goes_back(present, last_used, allowed):
    assert list(factors.periods_allowed(present, last_used)) == allowed


@pytest.mark.parametrize(
    ("typed", "code", "recovery"),
    [
        (" 123 456 ", "123456", None),
        ("12345", None, None),
        ("１２３４５６", None, None),
        ("ABCD-efgh-2345-67ab", None, "abcdefgh234567ab"),
        (" abcd efgh\t2345 67ab ", None, "abcdefgh234567ab"),
        ("abcd-efgh-2345-67a", None, None),
        ("abcd-efgh-2345-6701", None, None),
    ],
)
def test_codes_are_read_however_they_are_spaced(typed, code, recovery):
    assert factors.typed_code(typed) == code
    assert factors.typed_recovery_code(typed) == recovery


@pytest.mark.parametrize(
    ("facts", "way"),
    [
        ({"known": False}, "new"),
        ({}, "sign-in"),
        ({"handed": True}, "renew"),
        ({"has_own_proof": False}, "renew"),
        ({"reset": True}, "renew"),
    ],
)
def test_what_an_invitation_asks_for(facts, way):
    usual = {"reset": False, "known": True, "handed": False, "has_own_proof": True}
    assert invitations.way(**(usual | facts)) == way


def test_roles_are_known_ones():
    assert accounts.parse_roles(["seller", "seller"]) == {Role.SELLER}
    assert accounts.parse_roles(["root"]) is None
    assert set(accounts.ROLE_WORDS) == set(Role)


def test_a_key_carries_its_id_and_shows_almost_nothing_of_its_secret():
    key = keys.compose("demo1234", "s_-" + "x" * 40)
    assert keys.key_id_of(key) == "demo1234"
    assert keys.display_prefix(key) == "prk_demo1234_s_-x…"
    with pytest.raises(ValueError, match="prk_<id>_<secret>"):
        keys.display_prefix("secret")


@pytest.mark.parametrize(
    "key",
    [
        *("", "prk_", "prk_ab_" + "x" * 40, "prk_abcd_short", "PRK_abcd_" + "x" * 40),
        *("prk_abcd_" + "x" * 129, "prk_abcd_" + "ế" * 40, "prk_abcd_" + "x" * 40 + "\n"),
    ],
)
def test_what_is_not_a_key_has_no_id(key):
    assert keys.key_id_of(key) is None


@pytest.mark.parametrize(
    ("revoked", "expires", "state"),
    [
        (None, None, "active"),
        (None, NOW + MINUTE, "active"),
        (None, NOW, "expired"),
        (NOW, None, "revoked"),
        (NOW, NOW, "revoked"),
    ],
)
def test_a_key_works_until_it_expires_or_is_revoked(revoked, expires, state):
    assert keys.state_of(revoked, expires, NOW) == state


def test_scopes_are_known_and_at_least_one():
    assert keys.parse_scopes(["ads:decide", "paywall:decide"]) == ["paywall:decide", "ads:decide"]
    assert keys.parse_scopes([]) is None
    assert keys.parse_scopes(["paywall:decide", "everything"]) is None
    assert keys.parse_scopes(list(Scope)) == list(Scope)


def test_the_shared_internal_key_is_enough_on_a_developers_machine():
    local = IdentitySettings(environment="local", identity_internal_key="k" * 32)
    assert local.internal_keys() == {"local": "k" * 32}


def test_words_that_templates_take_from_data_have_their_vietnamese():
    words = load_catalogues([Path(identity.__file__).parent / "locale"])
    shown = {*accounts.ROLE_WORDS.values(), *SCOPE_WORDS.values()}
    assert shown - set(words) == set()
    assert set(SCOPE_WORDS) == set(Scope)


def test_moments_count_to_the_second():
    moment = timedelta(seconds=1)
    assert sessions.is_fresh(NOW, NOW + sessions.FRESH - moment)
    assert not sessions.is_fresh(NOW, NOW + sessions.FRESH)
    assert not sessions.needs_touch(NOW, NOW + sessions.TOUCH_EVERY - moment)
    assert sessions.needs_touch(NOW, NOW + sessions.TOUCH_EVERY)
    assert keys.needs_use_written(None, NOW)
    assert not keys.needs_use_written(NOW, NOW + keys.USE_WRITTEN_EVERY - moment)
    assert keys.needs_use_written(NOW, NOW + keys.USE_WRITTEN_EVERY)
    assert [factors.period_of(seconds) for seconds in (29.9, 30, 59.9)] == [0, 1, 1]


@pytest.mark.parametrize(
    ("accepted", "withdrawn", "after", "is_open"),
    [
        (None, None, -1, True),
        (None, None, 0, False),
        (NOW, None, -1, False),
        (None, NOW, -1, False),
    ],
)
def test_an_invitation_is_open_until_it_is_used_withdrawn_or_over(
    accepted, withdrawn, after, is_open
):
    now = NOW + timedelta(seconds=after)
    assert invitations.is_open(NOW, accepted, withdrawn, now) is is_open


def test_a_pending_session_goes_to_its_step_and_from_there_where_it_wanted():
    assert sessions.location(None, "http://a/x?y=1") == "http://a/x?y=1"
    step = next(iter(sessions.Step))
    assert sessions.location(step, "/x?y=1&z=2") == f"/sign-in/{step}?next=%2Fx%3Fy%3D1%26z%3D2"


def test_a_recovery_code_is_shown_in_groups_of_four():
    assert factors.shown_recovery_code("abcdefghij") == "abcd-efgh-ij"


def test_an_administrator_is_one_at_any_agency():
    assert accounts.is_administrator({"a": ["seller"], "b": ["finance", "admin"]})
    assert not accounts.is_administrator({"a": ["seller"], "b": []})
    assert not accounts.is_administrator({})


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("  Nguyê\u0303n   Văn \u00a0An ", "Nguyễn Văn An"),
        ("A", "A"),
        ("x" * accounts.NAME_MAX, "x" * accounts.NAME_MAX),
        ("x" * (accounts.NAME_MAX + 1), None),
        ("", None),
        ("   ", None),
        ("An\nBình", None),
        ("An\x7f", None),
        ("An\ud800", None),
    ],
)
def test_a_name_is_one_line_of_readable_characters(typed, name):
    assert accounts.normalise_name(typed) == name


def test_a_text_is_folded_to_plain_lower_case():
    assert folded("ĐƯỜNG đi Hưng YÊN") == "duong di hung yen"


def test_a_password_of_signs_is_judged_by_its_signs():
    assert variants("Mật khẩu-12") == ("Mật khẩu-12", "mat khau-12", "matkhau12")
    assert variants("a-b-c-") == ("a-b-c-", "abc")
    assert variants("🌾🌊a🐟") == ("🌾🌊a🐟",)


def test_words_of_a_name_are_guessable_alone_and_joined_to_up_to_three_neighbours():
    found = set(guessable_words(["Đài A Bê C.d E"], ("toasoan",))) - {"toasoan"}
    alone = {"đài", "dai", "bê", "be"}  # one letter is no word
    joined = {
        *("đàia", "đàiabê", "đàiabêc", "abê", "abêc", "abêcd", "bêc", "bêcd", "bêcde"),
        *("daia", "daiabe", "daiabec", "abe", "abec", "abecd", "bec", "becd", "becde"),
        *("cd", "cde", "de"),
    }
    assert found == alone | joined
