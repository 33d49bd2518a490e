"""Accounts, roles, sessions, sign-in limits, service keys, audit trail."""

from shared.agencies import SCHEMA_V1 as AGENCY
from shared.audit import SCHEMA_V1 as AUDIT
from shared.database.migrations import run_script

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
    password_hash text NOT NULL CONSTRAINT ck_account_password_hash CHECK (password_hash LIKE '$argon2id$%'),
    one_time_until timestamptz,
    password_changed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    last_active_at timestamptz NOT NULL,
    disabled_at timestamptz,
    disabled_reason text,
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
    CONSTRAINT ck_staff_session_lifetime CHECK (expires_at > created_at AND expires_at <= created_at + interval '12 hours')
);
CREATE INDEX ix_staff_session_account_id ON staff_session (account_id) WHERE ended_at IS NULL;
CREATE INDEX ix_staff_session_expires_at ON staff_session (expires_at);

CREATE TABLE sign_in_lock (
    email_hash bytea NOT NULL CONSTRAINT pk_sign_in_lock PRIMARY KEY,
    failures integer NOT NULL CONSTRAINT ck_sign_in_lock_failures CHECK (failures >= 0),
    last_failed_at timestamptz NOT NULL,
    locked_until timestamptz
);
CREATE INDEX ix_sign_in_lock_last_failed_at ON sign_in_lock (last_failed_at);
CREATE TABLE sign_in_network (
    network text NOT NULL CONSTRAINT pk_sign_in_network PRIMARY KEY,
    window_started_at timestamptz NOT NULL,
    failures integer NOT NULL CONSTRAINT ck_sign_in_network_failures CHECK (failures >= 0)
);
CREATE INDEX ix_sign_in_network_window_started_at ON sign_in_network (window_started_at);

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
    run_script(AGENCY, AUDIT, SCHEMA)
