"""The checks of a deployment's addresses and secrets, each by its own table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.startup import rules
from shared.startup.rules import Check, Duty, Refusal, refusals

STRONG = "kQ7vX2mR9tLw4ZbN8cHd3JfY"  # 24 characters, 24 different ones


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Doc.Bao.VN:8443/x", "doc.bao.vn"),
        ("https://doc.bao.vn./", "doc.bao.vn"),
        ("http://[::1]:80", "::1"),
        ("//db,other", "db,other"),
        ("doc.bao.vn", ""),
        ("https://", ""),
        ("https://[::1", ""),
        ("", ""),
    ],
)
def test_the_host_of_an_address(url, host):
    assert rules.host_of(url) == host


@pytest.mark.parametrize(
    ("host", "loopback", "named", "inside"),
    [
        ("localhost", True, False, True),
        ("billing.localhost", True, True, True),
        ("notlocalhost", False, False, True),
        ("localhost.vn", False, True, False),
        ("127.0.0.1", True, False, True),
        ("127.255.0.9", True, False, True),
        ("::1", True, False, True),
        ("::2", False, False, False),
        ("10.0.0.1", False, False, False),
        ("0.0.0.0", False, False, False),
        ("postgres", False, False, True),
        ("stripe-sandbox_1", False, False, True),
        ("", False, False, True),  # no host: a socket of this machine
        ("0x08080808", False, False, False),
        ("0x", False, False, False),
        ("134744072", False, False, False),
        ("1a", False, False, True),
        ("db.bao.vn", False, True, False),
        ("bao.vn", False, True, False),
    ],
)
def test_what_leads_where(host, loopback, named, inside):
    assert rules.is_loopback(host) is loopback
    assert rules.is_name(host) is named
    assert rules.stays_inside(host) is inside


@pytest.mark.parametrize(
    ("host", "top"), [("doc.bao.vn", "vn"), ("vn", "vn"), ("a.b.test", "test"), ("", "")]
)
def test_the_top_of_a_name(host, top):
    assert rules.top_level(host) == top


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("https://doc.bao.vn", True),
        ("https://doc.bao.vn/", True),
        ("https://doc.bao.vn:8443", True),
        ("http://doc.bao.vn", False),
        ("https://doc.bao.vn/x", False),
        ("https://doc.bao.vn//", False),
        ("https://doc.bao.vn/?a=b", False),
        ("https://doc.bao.vn?a=b", False),
        ("https://doc.bao.vn/#a", False),
        ("https://user@doc.bao.vn", False),
        ("https://doc.bao.vn:99999", False),
        ("https://doc.bao.vn:x", False),
        ("https://[::1", False),
        ("https://", False),
        ("https:///x", False),
        ("doc.bao.vn", False),
        ("", False),
    ],
)
def test_https_and_a_host_and_nothing_behind_it(url, right):
    assert rules.is_https(url) is right


ADDRESSES = [
    # url, and whether it is wrong for production, rehearsal, a developer, a test
    ("https://doc.bao.vn", False, True, True, True),
    ("http://doc.bao.vn", True, True, True, True),
    ("https://doc.bao.vn/x", True, True, True, True),
    ("https://doc.bao.test", True, False, True, False),
    ("https://doc.localhost", True, False, False, False),
    ("http://doc.bao.test", True, True, True, False),
    *((f"https://doc.{top}", True, True, True, False) for top in ("example", "invalid", "local")),
    ("https://doc.internal", True, True, True, False),
    ("https://bao", True, True, True, True),
    ("https://test", True, True, True, False),
    ("https://203.0.113.7", True, True, True, True),
    ("https://127.0.0.1", True, True, False, False),
    ("http://localhost:8001", True, True, False, False),
    ("", True, True, False, False),
]


@pytest.mark.parametrize(("url", "production", "rehearsal", "developer", "test"), ADDRESSES)
def test_each_environment_has_addresses_of_its_own(url, production, rehearsal, developer, test):
    assert rules.public_address_wrong(url) is production
    assert rules.rehearsal_address_wrong(url) is rehearsal
    assert rules.local_address_wrong(url) is developer
    assert rules.reachable_address(url) is test


@given(st.sampled_from([url for url, *_ in ADDRESSES]) | st.text(max_size=40))
def test_no_address_is_right_for_readers_and_for_a_rehearsal_or_a_developer(url):
    if not rules.public_address_wrong(url):
        assert rules.rehearsal_address_wrong(url) and rules.local_address_wrong(url)
        assert rules.reachable_address(url)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", False),
        ("https://identity.bao.vn/x", False),
        ("https://10.0.0.5", False),
        ("http://identity:8005", False),
        ("http://127.0.0.1:8005", False),
        ("http://10.0.0.5:8005", True),
        ("http://identity.bao.vn", True),
        ("ftp://identity", True),
        ("identity:8005", True),
    ],
)
def test_plain_http_stays_on_the_machine(url, wrong):
    assert rules.internal_address_wrong(url) is wrong


@pytest.mark.parametrize(
    ("secret", "weak"),
    [
        (STRONG, False),
        (STRONG[:-1], True),
        ("0123456789" * 3, True),  # contains 1234567
        ("9081726354" * 3, False),  # ten different ones
        ("908172635" * 3, True),
        (STRONG + "Change", True),
        (STRONG + "SECRET", True),
        ("passWord" + STRONG, True),
        (STRONG + "example", True),
        (STRONG + "placeholder", True),
        (STRONG + "abcdef", True),
        (STRONG + "1234567", True),
        ("", True),
    ],
)
def test_a_weak_secret_is_short_or_of_few_characters_or_a_placeholder(secret, weak):
    assert rules.weak(secret) is weak
    assert rules.weak_password(f"postgresql://b:{secret}@db/b") is weak


def test_an_address_without_a_password_or_that_is_none_has_a_weak_one():
    for url in ("postgresql://b@db/b", "postgresql://db/b", "", "https://[::1"):
        assert rules.weak_password(url) is True


@pytest.mark.parametrize(
    ("url", "role"),
    [
        ("postgresql://billing:x@db/b", "billing"),
        ("postgresql://b%5Fowner@db/b", "b_owner"),
        ("postgresql://db/b", ""),
        ("postgresql://[::1", ""),
    ],
)
def test_whom_a_databases_address_signs_in_as(url, role):
    assert rules.role_of(url) == role


FULL = "sslmode=verify-full&sslrootcert=/ca.pem"


@pytest.mark.parametrize(
    ("rest", "clear"),
    [
        ("postgres/b", False),
        ("127.0.0.1:5432,postgres/b", False),
        ("/b", False),
        ("/b?host=/run/postgresql", False),
        ("/b?host=postgres", False),
        ("/b?host=db.bao.vn", True),
        ("postgres/b?host=134744072", True),
        ("postgres/b?host=db.bao.vn", True),
        ("db.bao.vn/b", True),
        ("10.0.0.9/b", True),
        ("postgres,db.bao.vn/b", True),
        ("db.bao.vn,postgres/b", True),
        (f"db.bao.vn/b?{FULL}", False),
        (f"postgres,db.bao.vn/b?{FULL}", False),
        (f"/b?host=db.bao.vn&{FULL}", False),
        ("db.bao.vn/b?sslmode=verify-full", True),
        ("db.bao.vn/b?sslmode=verify-full&sslrootcert=", True),
        ("db.bao.vn/b?sslrootcert=/ca.pem", True),
        ("db.bao.vn/b?sslmode=require&sslrootcert=/ca.pem", True),
        (f"db.bao.vn/b?{FULL}&sslmode=disable", True),
    ],
)
def test_a_database_elsewhere_is_reached_by_tls_and_an_authority(rest, clear):
    for who in ("", "b@", "b:x@", "b:db@", "b.c:p,x@"):
        assert rules.database_in_the_clear(f"postgresql://{who}{rest}") is clear


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("postgresql://db/b?sslrootcert=/ca.pem", "/ca.pem"),
        ("postgresql://db/b?sslrootcert=/a.pem&sslrootcert=/b.pem", "/a.pem"),
        ("postgresql://db/b?sslmode=verify-full", ""),
        ("postgresql://[::1", ""),
        ("", ""),
    ],
)
def test_the_authority_named_in_a_databases_address(url, file):
    assert rules.authority_of(url) == file


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("nats://b:x@nats:4222", False),
        ("nats://127.0.0.1:4222", False),
        ("tls://nats.bao.vn:4222", False),
        ("nats://nats.bao.vn:4222", True),
        ("tls://n1.bao.vn,nats://n2.bao.vn", True),
        ("nats://n1.bao.vn,tls://n2.bao.vn", True),
        ("tls://n1.bao.vn,nats://nats", False),
    ],
)
def test_a_bus_elsewhere_is_reached_by_tls(url, clear):
    assert rules.bus_in_the_clear(url) is clear


@pytest.mark.parametrize(
    ("url", "without"),
    [
        (f"nats://billing-worker:{STRONG}@nats", False),
        ("nats://127.0.0.1:4222", False),
        ("nats://nats:4222", True),
        (f"nats://setup:{STRONG}@nats", True),
        (f"nats://:{STRONG}@nats", True),
        ("nats://billing-worker:weak@nats", True),
        (f"nats://b:{STRONG}@n1,nats://n2", True),
        (f"nats://n1,nats://b:{STRONG}@n2", True),
        (f"nats://127.0.0.1,nats://b:{STRONG}@n2", False),
    ],
)
def test_a_bus_is_entered_with_a_name_and_a_password_and_never_the_set_ups(url, without):
    assert rules.bus_without_credentials(url) is without


@pytest.mark.parametrize(
    ("secrets", "repeated"),
    [
        ([], False),
        (["a"], False),
        (["a", "b"], False),
        (["a", "b", "a"], True),
        (["", ""], False),
        (["", "a", ""], False),
        (["", "a", "", "a"], True),
    ],
)
def test_one_secret_stands_in_one_place(secrets, repeated):
    assert rules.repeated(secrets) is repeated


def test_everything_wrong_is_listed_once_where_and_for_whom_it_counts():
    def wrong(settings: object) -> bool:
        return settings == "bad"

    table = [
        Check("A", wrong, "be good"),
        Check("B", wrong, "be better", where=frozenset({"test"})),
        Check("C", wrong, "be best", duties=frozenset({Duty.WEB})),
        Check("A", wrong, "be good"),
        Check("A", wrong, "be something else"),
        Check("D", lambda _: False, "never"),
    ]

    def found(settings: str, environment: str, *duties: Duty) -> list[str]:
        return [
            f"{one.variable} {one.right}"
            for one in refusals(settings, table, environment, frozenset(duties))
        ]

    assert found("bad", "production", Duty.WEB) == [
        "A be good",
        "C be best",
        "A be something else",
    ]
    assert found("bad", "rehearsal", Duty.WORKER) == ["A be good", "A be something else"]
    assert found("bad", "test", Duty.WEB, Duty.WORKER) == ["B be better"]
    assert found("bad", "local", Duty.WEB) == found("bad", "production") == []
    assert found("good", "production", Duty.WEB) == []
    assert refusals("bad", table[:1], "production", rules.EVERY_DUTY) == [Refusal("A", "be good")]
