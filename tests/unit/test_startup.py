"""What is deployed refuses weak settings: all of them at once, by name, before anything binds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.ads.settings import AdsSettings
from services.billing.settings import BillingSettings
from services.identity.settings import IdentitySettings
from services.paywall.settings import PaywallSettings
from shared.metrics.settings import MetricsSettings
from shared.sites import is_public_suffix, registrable_domain, same_site
from shared.startup import EXIT_CONFIGURATION, Duty, RefusedSettingsError, read_settings
from shared.startup.load import explain
from shared.startup.rules import weak
from tests.fixtures.production import SERVICES, SHARED, production, random_looking

REPOSITORY = Path(__file__).parents[2]
PUBLIC = ("billing_url", "paywall_url", "ads_url", "metrics_url", "identity_url", "news_site_url")
OIDC = {
    "oidc_issuer": "https://id.baohungyen.vn/realms/staff",
    "oidc_client_id": "press-revenue",
    "oidc_client_secret": random_looking("oidc"),
    "oidc_name": "Tòa soạn ID",
}


def refused(settings, duty: Duty = Duty.WEB, **changes) -> list[str]:
    """The variables that a process of this duty refuses to start with."""
    try:
        read_settings(settings, duty, **(production(settings) | changes))
    except RefusedSettingsError as error:
        return [one.variable for one in error.refusals]
    return []


@pytest.mark.parametrize("settings", SERVICES)
@pytest.mark.parametrize("duty", Duty)
def test_a_deployment_as_it_should_be_starts(settings, duty):
    assert refused(settings, duty) == []
    settings(**production(settings))


EVERY_SERVICE = [
    *(({field: f"http://{field}.baohungyen.vn"}, field.upper()) for field in PUBLIC),
    ({"ads_url": "https://10.1.2.3"}, "ADS_URL"),
    ({"ads_url": "https://ads.rehearsal.test"}, "ADS_URL"),
    ({"ads_url": "https://localhost"}, "ADS_URL"),
    ({"ads_url": "https://ads.baohungyen.vn/console"}, "ADS_URL"),
    ({"ads_url": ""}, "ADS_URL"),
    ({"paywall_url": "https://paywall.example.vn"}, "PAYWALL_URL"),
    ({"clock_offset_seconds": 1}, "CLOCK_OFFSET_SECONDS"),
    ({"log_level": "debug"}, "LOG_LEVEL"),
    ({"forwarded_hops": 0}, "FORWARDED_HOPS"),
    ({"forwarded_hops": None}, "FORWARDED_HOPS"),
    ({"database_url": f"postgresql://b_owner:{random_looking('x')}@db/b"}, "DATABASE_URL"),
    ({"database_url": f"postgresql://postgre%73:{random_looking('x')}@db/b"}, "DATABASE_URL"),
    ({"database_url": f"postgresql://b:{random_looking('x')}@0x08080808/b"}, "DATABASE_URL"),
    ({"database_url": f"postgresql://b:{random_looking('x')}@134744072/b"}, "DATABASE_URL"),
    ({"database_url": ""}, "DATABASE_URL"),
    ({"database_url": "postgresql://billing:short@postgres/billing"}, "DATABASE_URL"),
    ({"database_url": f"postgresql://postgres:{random_looking('x')}@db/b"}, "DATABASE_URL"),
    ({"database_url": f"postgresql://b:{random_looking('x')}@10.0.0.9/b"}, "DATABASE_URL"),
    (
        {"database_url": f"postgresql://b:{random_looking('x')}@db.bao.vn/b?sslmode=require"},
        "DATABASE_URL",
    ),
    *(
        ({"database_url": f"postgresql://b:{random_looking('x')}@{rest}"}, "DATABASE_URL")
        for rest in (
            "db.bao.vn/b?sslmode=verify-full",
            "postgres,db.bao.vn/b",
            "/b?host=db.bao.vn",
            "postgres/b?sslmode=verify-full&sslrootcert=/nowhere.pem",
            f"postgres/b?sslmode=verify-full&sslrootcert={__file__}",
        )
    ),
    ({"nats_ca_file": "/nowhere.pem"}, "NATS_CA_FILE"),
    ({"nats_ca_file": __file__}, "NATS_CA_FILE"),
    ({"nats_url": "nats://nats:4222"}, "NATS_URL"),
    ({"nats_url": "nats://billing-worker@nats:4222"}, "NATS_URL"),
    ({"nats_url": "nats://billing-worker:billing@nats:4222"}, "NATS_URL"),
    ({"nats_url": f"nats://setup:{random_looking('nats')}@nats:4222"}, "NATS_URL"),
    ({"nats_url": f"nats://b:{random_looking('nats')}@0x08080808:4222"}, "NATS_URL"),
    ({"nats_url": "nats://a:b@nats.bao.vn:4222"}, "NATS_URL"),
    ({"nats_url": "tls://a:b@n1.bao.vn:4222,tls://n2.bao.vn:4222"}, "NATS_URL"),
    ({"scrape_token": ""}, "SCRAPE_TOKEN"),
    ({"scrape_token": "a" * 40}, "SCRAPE_TOKEN"),
    ({"form_token_secret": "change-me-change-me-change-me"}, "FORM_TOKEN_SECRET"),
    ({"form_token_secret": SHARED["scrape_token"]}, "secrets"),
    ({"processes": 0}, "PROCESSES"),
]


@pytest.mark.parametrize("settings", SERVICES)
def test_servers_on_other_machines_are_reached_by_tls_and_an_authority(settings, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    elsewhere = {
        "database_url": f"postgresql://b:{random_looking('x')}@n1.bao.vn,n2.bao.vn/b"
        f"?sslmode=verify-full&sslrootcert={tmp_path}/ca.pem",
        "nats_url": f"tls://b:{random_looking('y')}@n1.bao.vn:4222",
        "nats_ca_file": f"{tmp_path}/ca.pem",
    }
    assert refused(settings, Duty.WORKER, **elsewhere) == []


@pytest.mark.parametrize("settings", SERVICES)
@pytest.mark.parametrize(("changes", "variable"), EVERY_SERVICE)
def test_every_service_refuses_what_is_weak_or_reachable_in_the_clear(settings, changes, variable):
    # The bus is the worker's: a web process is not even told where it is.
    duty = Duty.WORKER if variable.startswith("NATS") else Duty.WEB
    assert variable in refused(settings, duty, **changes)


@pytest.mark.parametrize(
    ("settings", "changes", "variable"),
    [
        (BillingSettings, {"stripe_secret_key": "sk_test_" + random_looking("t")}, "STRIPE_SECRET_KEY"),
        (BillingSettings, {"stripe_secret_key": "anything"}, "STRIPE_SECRET_KEY"),
        (BillingSettings, {"stripe_api_base": "http://stripe-sandbox:8006"}, "STRIPE_API_BASE"),
        (BillingSettings, {"stripe_sandbox_url": "https://pay.bao.vn"}, "STRIPE_SANDBOX_URL"),
        (BillingSettings, {"stripe_webhook_secret": ""}, "STRIPE_WEBHOOK_SECRET"),
        (BillingSettings, {"stripe_webhook_secret": "whsec_short"}, "STRIPE_WEBHOOK_SECRET"),
        (BillingSettings, {"stripe_webhook_tolerance_seconds": 86_400}, "STRIPE_WEBHOOK_TOLERANCE_SECONDS"),
        (BillingSettings, {"bank_webhook_secrets": "bao-hung-yen/sepay:short"}, "BANK_WEBHOOK_SECRETS"),
        (BillingSettings, {"bank_webhook_secrets": f"bao-hung-yen/bank:{random_looking('b')}"}, "BANK_WEBHOOK_SECRETS"),
        (BillingSettings, {"bank_sandbox_url": "https://pay.bao.vn/bank"}, "BANK_SANDBOX_URL"),
        (BillingSettings, {"signing_keys_file": ""}, "SIGNING_KEYS_FILE"),
        (BillingSettings, {"mail_transport": "outbox"}, "MAIL_TRANSPORT"),
        (BillingSettings, {"text_transport": "outbox"}, "TEXT_TRANSPORT"),
        (BillingSettings, {"smtp_host": ""}, "SMTP_HOST"),
        (BillingSettings, {"smtp_tls": "none"}, "SMTP_TLS"),
        (BillingSettings, {"smtp_username": "bao"}, "SMTP_PASSWORD"),
        (BillingSettings, {"mail_from": "Báo <no-reply@localhost>"}, "MAIL_FROM"),
        (BillingSettings, {"identity_internal_key": ""}, "IDENTITY_INTERNAL_KEY"),
        (BillingSettings, {"identity_internal_url": "http://10.0.0.5:8005"}, "IDENTITY_INTERNAL_URL"),
        (PaywallSettings, {"identity_internal_key": ""}, "IDENTITY_INTERNAL_KEY"),
        (PaywallSettings, {"cookie_secret": ""}, "COOKIE_SECRET"),
        (PaywallSettings, {"cookie_secret": "a" * 40}, "COOKIE_SECRET"),
        (PaywallSettings, {"paywall_signing_keys_file": ""}, "PAYWALL_SIGNING_KEYS"),
        (PaywallSettings, {"trusted_proxies": ""}, "TRUSTED_PROXIES"),
        (PaywallSettings, {"trusted_proxies": "0.0.0.0/0"}, "TRUSTED_PROXIES"),
        (PaywallSettings, {"trusted_proxies": "somewhere"}, "TRUSTED_PROXIES"),
        (PaywallSettings, {"new_readers_per_network_per_hour": 10**6}, "NEW_READERS_PER_NETWORK_PER_HOUR"),
        (AdsSettings, {"identity_internal_key": "short"}, "IDENTITY_INTERNAL_KEY"),
        (AdsSettings, {"ads_token_keys": ""}, "ADS_TOKEN_KEYS"),
        (AdsSettings, {"ads_token_keys": "1:short"}, "ADS_TOKEN_KEYS"),
        (MetricsSettings, {"identity_internal_key": ""}, "IDENTITY_INTERNAL_KEY"),
        (IdentitySettings, {"identity_internal_keys": ""}, "IDENTITY_INTERNAL_KEYS"),
        (IdentitySettings, {"identity_internal_keys": "billing:short"}, "IDENTITY_INTERNAL_KEYS"),
        (IdentitySettings, {"identity_internal_keys": "no-colon"}, "IDENTITY_INTERNAL_KEYS"),
        (IdentitySettings, {"staff_cookie_domain": ".vn"}, "STAFF_COOKIE_DOMAIN"),
        (IdentitySettings, {"staff_cookie_domain": "hungyen.vn"}, "STAFF_COOKIE_DOMAIN"),
        (IdentitySettings, {"staff_cookie_domain": ""}, "STAFF_COOKIE_DOMAIN"),
        (IdentitySettings, {"staff_cookie_domain": "another.vn"}, "STAFF_COOKIE_DOMAIN"),
        (IdentitySettings, {"network_failures_allowed": 10_000}, "NETWORK_FAILURES_ALLOWED"),
        (IdentitySettings, {"argon2_memory_kib": 8}, "ARGON2_MEMORY_KIB"),
        (BillingSettings, {"argon2_memory_kib": 8}, "ARGON2_MEMORY_KIB"),
        (BillingSettings, {"argon2_time_cost": 1}, "ARGON2_TIME_COST"),
        (IdentitySettings, OIDC | {"oidc_issuer": "http://id.baohungyen.vn"}, "OIDC_ISSUER"),
        (IdentitySettings, OIDC | {"oidc_issuer": "http://127.0.0.1:8080"}, "OIDC_ISSUER"),
        (IdentitySettings, OIDC | {"oidc_issuer": "https://id.vn/?a=b"}, "OIDC_ISSUER"),
        (IdentitySettings, OIDC | {"oidc_issuer": "https://u@id.vn/"}, "OIDC_ISSUER"),
        (IdentitySettings, OIDC | {"oidc_issuer": ""}, "OIDC_ISSUER"),
        (IdentitySettings, OIDC | {"oidc_client_id": ""}, "OIDC_CLIENT_ID"),
        (IdentitySettings, OIDC | {"oidc_client_secret": ""}, "OIDC_CLIENT_SECRET"),
        (IdentitySettings, OIDC | {"oidc_client_secret": "short"}, "OIDC_CLIENT_SECRET"),
        (IdentitySettings, OIDC | {"oidc_name": " "}, "OIDC_NAME"),
        (IdentitySettings, OIDC | {"oidc_mfa_amr": "mfa, pwd"}, "OIDC_MFA_AMR"),
        (IdentitySettings, OIDC | {"oidc_mfa_acr": "0 silver"}, "OIDC_MFA_ACR"),
        (IdentitySettings, {"argon2_time_cost": 1}, "ARGON2_TIME_COST"),
        (IdentitySettings, {"demo_password": "mùa lúa chín vàng"}, "DEMO_PASSWORD"),
        (IdentitySettings, {"demo_site_key": "prk_x_" + "y" * 40}, "DEMO_SITE_KEY"),
    ],
)  # fmt: skip
def test_a_service_refuses_what_is_weak_about_its_own_settings(settings, changes, variable):
    assert variable in refused(settings, **changes)


def test_everything_that_is_wrong_is_listed_at_once_with_what_would_be_right_and_without_a_value():
    wrong = {
        "billing_url": "http://doc.baohungyen.vn",
        "stripe_secret_key": "sk_test_hunter2hunter2hunter2",
        "smtp_tls": "none",
        "smtp_port": 99_999_999,
        "form_token_secret": "hunter2",
    }
    with pytest.raises(RefusedSettingsError) as caught:
        read_settings(BillingSettings, Duty.WEB, **(production(BillingSettings) | wrong))
    text = explain("billing", Duty.WEB, caught.value.refusals)
    for name in wrong:
        assert name.upper() in text
    assert "https://" in text and "starttls or tls" in text and "less than or equal" in text
    assert "hunter2" not in text and "hunter2" not in str(caught.value)


def test_a_process_needs_the_secrets_of_its_duty_and_no_others():
    only = {key: SHARED[key] for key in SHARED if key.endswith("_url") or key == "environment"}
    for settings in SERVICES:
        for duty in (Duty.MIGRATE, Duty.SETUP, Duty.COMMAND):
            read_settings(settings, duty, **only)
    with pytest.raises(RefusedSettingsError):
        read_settings(PaywallSettings, Duty.WORKER, **only)
    read_settings(PaywallSettings, Duty.WORKER, **only, scrape_token=random_looking("s"))


def test_a_constructor_without_a_duty_checks_everything():
    with pytest.raises(ValidationError, match="SIGNING_KEYS_FILE"):
        BillingSettings(**production(BillingSettings) | {"signing_keys_file": ""})


REHEARSAL = {
    "environment": "rehearsal",
    **{field: f"https://{field.removesuffix('_url')}.bao.test" for field in PUBLIC},
}
CHARGES = {
    "stripe_secret_key": "sk_test_" + random_looking("t"),
    "stripe_api_base": "http://stripe-sandbox:8006",
    "stripe_sandbox_url": "https://pay.bao.test",
    "bank_sandbox_url": "https://pay.bao.test/bank",
    "mail_transport": "outbox",
}


def test_a_rehearsal_may_charge_the_sandbox_because_no_reader_can_reach_it():
    assert refused(BillingSettings, **REHEARSAL, **CHARGES) == []
    assert refused(IdentitySettings, **REHEARSAL, staff_cookie_domain="bao.test") == []
    for field in PUBLIC:
        public = REHEARSAL | {field: "https://doc.baohungyen.vn"}
        assert field.upper() in refused(BillingSettings, **public, **CHARGES)
    live = CHARGES | {"stripe_secret_key": "sk_live_" + random_looking("l")}
    assert "STRIPE_SECRET_KEY" in refused(BillingSettings, **REHEARSAL, **live)


@pytest.mark.parametrize("settings", SERVICES)
def test_a_rehearsal_refuses_whatever_else_production_refuses(settings):
    own = REHEARSAL | ({"staff_cookie_domain": "bao.test"} if settings is IdentitySettings else {})
    own |= CHARGES if settings is BillingSettings else {}
    for changes, variable in EVERY_SERVICE:
        if "ads_url" not in changes:
            duty = Duty.WORKER if variable.startswith("NATS") else Duty.WEB
            assert variable in refused(settings, duty, **(own | changes)), changes


def test_a_provider_is_whole_or_none():
    assert refused(IdentitySettings, **OIDC) == []
    assert refused(IdentitySettings, Duty.MIGRATE, **(OIDC | {"oidc_client_secret": ""})) == []
    for environment in ("local", "test"):
        own = OIDC | {"environment": environment, "oidc_client_secret": "s"}
        assert IdentitySettings(**(own | {"oidc_issuer": "http://127.0.0.1:9000"})).oidc_issuer
        for wrong in ("http://id.baohungyen.vn", "127.0.0.1:9000", "https://id:x", ""):
            with pytest.raises(ValidationError, match="OIDC_ISSUER"):
                IdentitySettings(**(own | {"oidc_issuer": wrong}))


@pytest.mark.parametrize("environment", ["local", "test"])
@pytest.mark.parametrize("settings", SERVICES)
def test_a_developers_machine_is_not_public(settings, environment):
    assert settings(environment=environment).environment == environment
    for field in PUBLIC:
        with pytest.raises(ValidationError, match=field.upper()):
            settings(environment=environment, **{field: "https://doc.baohungyen.vn"})
    with pytest.raises(ValidationError, match="HOST"):
        settings(environment=environment, host="0.0.0.0")
    settings(environment=environment, host="::1", billing_url="http://[::1]:9001")
    named = {"environment": environment, "billing_url": "http://billing.test"}
    if environment == "test":
        settings(**named)
    else:
        with pytest.raises(ValidationError, match="BILLING_URL"):
            settings(**named)


def test_no_live_key_outside_production():
    with pytest.raises(ValidationError, match="STRIPE_SECRET_KEY"):
        BillingSettings(environment="local", stripe_secret_key="sk_live_x")


@pytest.mark.parametrize("package", ["services.billing", "services.paywall", "services.identity"])
def test_the_command_lists_what_is_wrong_and_ends_before_it_binds(package):
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "production", "PORT": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", package, "web"],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == EXIT_CONFIGURATION
    lines = ended.stderr.splitlines()
    assert "does not start" in lines[0]
    named = {line.split()[0] for line in lines[1:]}
    assert {"BILLING_URL", "DATABASE_URL", "SCRAPE_TOKEN", "FORM_TOKEN_SECRET"} <= named
    assert "Traceback" not in ended.stderr


@given(st.text(alphabet="ab", max_size=60))
def test_a_secret_of_two_letters_is_weak_however_long(secret):
    assert weak(secret)


def test_sites_by_the_public_suffix_list():
    assert registrable_domain("doc.baohungyen.vn") == "baohungyen.vn"
    assert registrable_domain(".Doc.BaoHungYen.VN.") == "baohungyen.vn"
    assert registrable_domain("127.0.0.1") == "127.0.0.1"
    assert registrable_domain("COM.VN") == "com.vn", "a public suffix is its own site"
    assert is_public_suffix(".Com.VN.") and not is_public_suffix("baohungyen.vn")
    # "hungyen.vn" is a suffix of the register: two names below it are two sites.
    assert is_public_suffix("hungyen.vn") and is_public_suffix("com.vn")
    assert not same_site("https://bao.hungyen.vn", "https://dai.hungyen.vn")
    assert same_site("https://www.bao.hungyen.vn", "https://doc.bao.hungyen.vn")


def test_mail_is_shown_to_developers_and_in_rehearsals_and_never_in_production():
    assert BillingSettings(environment="local").shows_mail
    assert read_settings(
        BillingSettings, Duty.WEB, **(production(BillingSettings) | REHEARSAL | CHARGES)
    ).shows_mail
    real = BillingSettings(**production(BillingSettings))
    assert not real.shows_mail
    assert not real.model_copy(update={"mail_transport": "outbox"}).shows_mail
    assert not real.model_copy(update={"text_transport": "outbox"}).shows_texts
