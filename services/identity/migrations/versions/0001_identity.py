"""Accounts, roles, invitations, factors, sessions, sign-in limits, service keys."""

from shared.agencies import SCHEMA_V1 as AGENCY
from shared.audit import SCHEMA_V1 as AUDIT
from shared.database.migrations import run_script
from shared.mail.outbox import SCHEMA_V1 as MAIL

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE account (
    id uuid NOT NULL CONSTRAINT pk_account PRIMARY KEY,
    email text NOT NULL CONSTRAINT uq_account_email UNIQUE
        CONSTRAINT ck_account_email CHECK (email = lower(email) AND email LIKE '%_@_%' AND length(email) <= 254),
    name text NOT NULL CONSTRAINT ck_account_name CHECK (length(name) BETWEEN 1 AND 120),
    password_hash text CONSTRAINT ck_account_password_hash CHECK (password_hash LIKE '$argon2id$%'),
    one_time_until timestamptz,
    password_changed_at timestamptz,
    home_agency text CONSTRAINT fk_account_home_agency_agency REFERENCES agency (id),
    handed_by text CONSTRAINT fk_account_handed_by_agency REFERENCES agency (id),
    created_at timestamptz NOT NULL,
    last_active_at timestamptz NOT NULL,
    disabled_at timestamptz,
    disabled_reason text,
    CONSTRAINT ck_account_password CHECK ((password_hash IS NULL) = (password_changed_at IS NULL)),
    CONSTRAINT ck_account_disabled CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CONSTRAINT ck_account_disabled_reason CHECK (disabled_reason IN ('administrator', 'dormant'))
);
CREATE TABLE account_role (
    account_id uuid NOT NULL CONSTRAINT fk_account_role_account_id_account REFERENCES account (id),
    agency text NOT NULL CONSTRAINT fk_account_role_agency_agency REFERENCES agency (id),
    role text NOT NULL CONSTRAINT ck_account_role_role
        CHECK (role IN ('admin', 'seller', 'traffic', 'approver', 'finance', 'editor', 'support', 'viewer')),
    CONSTRAINT pk_account_role PRIMARY KEY (account_id, agency, role)
);
CREATE INDEX ix_account_role_agency ON account_role (agency);
CREATE TABLE password_history (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_password_history PRIMARY KEY,
    account_id uuid NOT NULL CONSTRAINT fk_password_history_account_id_account REFERENCES account (id),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX ix_password_history_account_id ON password_history (account_id);

CREATE TABLE staff_session (
    id uuid NOT NULL CONSTRAINT pk_staff_session PRIMARY KEY,
    token_hash bytea NOT NULL CONSTRAINT uq_staff_session_token_hash UNIQUE
        CONSTRAINT ck_staff_session_token_hash CHECK (length(token_hash) = 32),
    account_id uuid NOT NULL CONSTRAINT fk_staff_session_account_id_account REFERENCES account (id),
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    network text NOT NULL,
    user_agent text NOT NULL,
    factors text[] NOT NULL CONSTRAINT ck_staff_session_factors CHECK (cardinality(factors) > 0),
    authenticated_at timestamptz NOT NULL,
    enrolling bytea,
    CONSTRAINT ck_staff_session_lifetime CHECK (expires_at > created_at AND expires_at <= created_at + interval '12 hours')
);
CREATE INDEX ix_staff_session_account_id ON staff_session (account_id) WHERE ended_at IS NULL;
CREATE INDEX ix_staff_session_expires_at ON staff_session (expires_at);

CREATE TABLE sign_in_lock (
    email_hash bytea NOT NULL,
    origin bytea NOT NULL,
    failures integer NOT NULL CONSTRAINT ck_sign_in_lock_failures CHECK (failures >= 0),
    last_failed_at timestamptz NOT NULL,
    locked_until timestamptz,
    CONSTRAINT pk_sign_in_lock PRIMARY KEY (email_hash, origin)
);
CREATE INDEX ix_sign_in_lock_last_failed_at ON sign_in_lock (last_failed_at);
CREATE TABLE sign_in_pace (
    subject bytea NOT NULL CONSTRAINT pk_sign_in_pace PRIMARY KEY,
    failed_at timestamptz[] NOT NULL,
    last_failed_at timestamptz NOT NULL
);
CREATE INDEX ix_sign_in_pace_last_failed_at ON sign_in_pace (last_failed_at);
CREATE TABLE known_device (
    token_hash bytea NOT NULL CONSTRAINT ck_known_device_token_hash CHECK (length(token_hash) = 32),
    account_id uuid NOT NULL CONSTRAINT fk_known_device_account_id_account REFERENCES account (id),
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    CONSTRAINT pk_known_device PRIMARY KEY (token_hash, account_id)
);
CREATE INDEX ix_known_device_account_id ON known_device (account_id);
CREATE TABLE external_subject (
    issuer text NOT NULL CONSTRAINT ck_external_subject_issuer CHECK (length(issuer) BETWEEN 1 AND 500),
    subject text NOT NULL CONSTRAINT ck_external_subject_subject CHECK (length(subject) BETWEEN 1 AND 255),
    account_id uuid NOT NULL CONSTRAINT fk_external_subject_account_id_account REFERENCES account (id),
    linked_at timestamptz NOT NULL,
    CONSTRAINT pk_external_subject PRIMARY KEY (issuer, subject),
    CONSTRAINT uq_external_subject_account_id_issuer UNIQUE (account_id, issuer)
);
CREATE TABLE provider_visit (
    state_hash bytea NOT NULL CONSTRAINT pk_provider_visit PRIMARY KEY
        CONSTRAINT ck_provider_visit_state_hash CHECK (length(state_hash) = 32),
    browser_hash bytea NOT NULL CONSTRAINT ck_provider_visit_browser_hash CHECK (length(browser_hash) = 32),
    purpose text NOT NULL CONSTRAINT ck_provider_visit_purpose CHECK (purpose IN ('sign-in', 'link', 'confirm', 'invitation')),
    nonce text NOT NULL,
    code_verifier text NOT NULL,
    next text NOT NULL,
    session_id uuid,
    invitation_hash bytea,
    form jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT ck_provider_visit_session CHECK ((purpose IN ('link', 'confirm')) = (session_id IS NOT NULL)),
    CONSTRAINT ck_provider_visit_invitation CHECK ((purpose = 'invitation') = (invitation_hash IS NOT NULL))
);
CREATE INDEX ix_provider_visit_expires_at ON provider_visit (expires_at);

CREATE TABLE totp_factor (
    account_id uuid NOT NULL CONSTRAINT pk_totp_factor PRIMARY KEY
        CONSTRAINT fk_totp_factor_account_id_account REFERENCES account (id),
    secret bytea NOT NULL,
    last_step bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE recovery_code (
    account_id uuid NOT NULL CONSTRAINT fk_recovery_code_account_id_account REFERENCES account (id),
    code_hash bytea NOT NULL CONSTRAINT ck_recovery_code_code_hash CHECK (length(code_hash) = 32),
    used_at timestamptz,
    CONSTRAINT pk_recovery_code PRIMARY KEY (account_id, code_hash)
);

CREATE TABLE invitation (
    id uuid NOT NULL CONSTRAINT pk_invitation PRIMARY KEY,
    purpose text NOT NULL CONSTRAINT ck_invitation_purpose CHECK (purpose IN ('join', 'reset')),
    agency text NOT NULL CONSTRAINT fk_invitation_agency_agency REFERENCES agency (id),
    email text NOT NULL CONSTRAINT ck_invitation_email CHECK (email = lower(email) AND length(email) <= 254),
    name text NOT NULL CONSTRAINT ck_invitation_name CHECK (length(name) BETWEEN 1 AND 120),
    roles text[] NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT uq_invitation_token_hash UNIQUE
        CONSTRAINT ck_invitation_token_hash CHECK (length(token_hash) = 32),
    invited_by uuid CONSTRAINT fk_invitation_invited_by_account REFERENCES account (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    CONSTRAINT ck_invitation_expiry CHECK (expires_at > created_at),
    CONSTRAINT ck_invitation_end CHECK (accepted_at IS NULL OR withdrawn_at IS NULL),
    CONSTRAINT ck_invitation_roles CHECK ((purpose = 'join') = (cardinality(roles) > 0))
);
CREATE UNIQUE INDEX uq_invitation_open ON invitation (agency, email, purpose)
    WHERE accepted_at IS NULL AND withdrawn_at IS NULL;

CREATE TABLE service_key (
    id text NOT NULL CONSTRAINT pk_service_key PRIMARY KEY
        CONSTRAINT ck_service_key_id CHECK (id ~ '^[a-z0-9]{4,32}$'),
    request_id uuid NOT NULL CONSTRAINT uq_service_key_request_id UNIQUE,
    agency text NOT NULL CONSTRAINT fk_service_key_agency_agency REFERENCES agency (id),
    name text NOT NULL CONSTRAINT ck_service_key_name CHECK (length(name) BETWEEN 1 AND 80),
    key_hash bytea NOT NULL CONSTRAINT uq_service_key_key_hash UNIQUE
        CONSTRAINT ck_service_key_key_hash CHECK (length(key_hash) = 32),
    prefix text NOT NULL,
    scopes text[] NOT NULL CONSTRAINT ck_service_key_scopes CHECK (
        cardinality(scopes) > 0 AND scopes <@ ARRAY['paywall:decide', 'paywall:articles', 'ads:decide',
            'ads:book', 'billing:read', 'metrics:read']),
    created_at timestamptz NOT NULL,
    created_by uuid CONSTRAINT fk_service_key_created_by_account REFERENCES account (id),
    replaces text CONSTRAINT fk_service_key_replaces_service_key REFERENCES service_key (id),
    last_used_at timestamptz,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX ix_service_key_agency ON service_key (agency);
"""


def upgrade() -> None:
    run_script(AGENCY, AUDIT, MAIL, SCHEMA)
