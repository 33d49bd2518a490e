"""The first schema: catalogue, orders and lines, creatives, delivery."""

from alembic import op

from shared import agencies, audit, outbox
from shared.database.migrations import run_script
from shared.database.privileges import REFUSE_CHANGE_V1, append_only, kept

revision = "0001_first"
down_revision = None
branch_labels = None
depends_on = None

CATALOGUE = """
CREATE TABLE advertiser (
    id uuid NOT NULL CONSTRAINT pk_advertiser PRIMARY KEY,
    agency_id text NOT NULL CONSTRAINT fk_advertiser_agency_id_agency REFERENCES agency (id),
    name text NOT NULL CONSTRAINT ck_advertiser_name CHECK (length(name) BETWEEN 1 AND 200),
    search_name text NOT NULL,
    website text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_advertiser_agency_id_name UNIQUE (agency_id, name),
    CONSTRAINT uq_advertiser_agency_id_id UNIQUE (agency_id, id)
);
CREATE TABLE placement (
    id uuid NOT NULL CONSTRAINT pk_placement PRIMARY KEY,
    agency_id text NOT NULL CONSTRAINT fk_placement_agency_id_agency REFERENCES agency (id),
    code text NOT NULL CONSTRAINT ck_placement_code
        CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(code) <= 60),
    name text NOT NULL,
    section text NOT NULL DEFAULT '',
    width integer NOT NULL CONSTRAINT ck_placement_width CHECK (width BETWEEN 1 AND 4000),
    height integer NOT NULL CONSTRAINT ck_placement_height CHECK (height BETWEEN 1 AND 4000),
    daily_capacity integer NOT NULL CONSTRAINT ck_placement_daily_capacity CHECK (daily_capacity >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_placement_agency_id_code UNIQUE (agency_id, code),
    CONSTRAINT uq_placement_agency_id_id UNIQUE (agency_id, id)
);
CREATE TABLE product (
    id uuid NOT NULL CONSTRAINT pk_product PRIMARY KEY,
    agency_id text NOT NULL CONSTRAINT fk_product_agency_id_agency REFERENCES agency (id),
    code text NOT NULL CONSTRAINT ck_product_code
        CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(code) <= 60),
    name text NOT NULL,
    medium text NOT NULL CONSTRAINT ck_product_medium CHECK (medium IN ('web', 'tv', 'radio', 'print')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_product_agency_id_code UNIQUE (agency_id, code),
    CONSTRAINT uq_product_agency_id_id UNIQUE (agency_id, id)
);
CREATE TABLE product_placement (
    product_id uuid NOT NULL,
    placement_id uuid NOT NULL,
    agency_id text NOT NULL,
    CONSTRAINT pk_product_placement PRIMARY KEY (product_id, placement_id),
    CONSTRAINT fk_product_placement_agency_id_product_id_product
        FOREIGN KEY (agency_id, product_id) REFERENCES product (agency_id, id),
    CONSTRAINT fk_product_placement_agency_id_placement_id_placement
        FOREIGN KEY (agency_id, placement_id) REFERENCES placement (agency_id, id)
);
CREATE TABLE rate (
    id uuid NOT NULL CONSTRAINT pk_rate PRIMARY KEY,
    agency_id text NOT NULL,
    product_id uuid NOT NULL,
    valid_from date NOT NULL,
    cpm_vnd bigint NOT NULL CONSTRAINT ck_rate_cpm_vnd CHECK (cpm_vnd BETWEEN 0 AND 1000000000),
    vat_percent integer NOT NULL CONSTRAINT ck_rate_vat_percent CHECK (vat_percent BETWEEN 0 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_rate_product_id_valid_from UNIQUE (product_id, valid_from),
    CONSTRAINT fk_rate_agency_id_product_id_product
        FOREIGN KEY (agency_id, product_id) REFERENCES product (agency_id, id)
);
"""

BOOKINGS = """
CREATE TABLE ad_order (
    id uuid NOT NULL CONSTRAINT pk_ad_order PRIMARY KEY,
    agency_id text NOT NULL,
    number bigint NOT NULL CONSTRAINT ck_ad_order_number CHECK (number >= 1),
    advertiser_id uuid NOT NULL,
    name text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_ad_order_agency_id_id UNIQUE (agency_id, id),
    CONSTRAINT uq_ad_order_agency_id_number UNIQUE (agency_id, number),
    CONSTRAINT fk_ad_order_agency_id_advertiser_id_advertiser
        FOREIGN KEY (agency_id, advertiser_id) REFERENCES advertiser (agency_id, id)
);
CREATE TABLE order_counter (
    agency_id text NOT NULL CONSTRAINT pk_order_counter PRIMARY KEY
        CONSTRAINT fk_order_counter_agency_id_agency REFERENCES agency (id),
    last_number bigint NOT NULL
);
CREATE TABLE line (
    id uuid NOT NULL CONSTRAINT pk_line PRIMARY KEY,
    agency_id text NOT NULL,
    order_id uuid NOT NULL,
    product_id uuid NOT NULL,
    name text NOT NULL,
    search_name text NOT NULL,
    priority text NOT NULL CONSTRAINT ck_line_priority CHECK (priority IN ('guaranteed', 'house')),
    pacing text NOT NULL CONSTRAINT ck_line_pacing CHECK (pacing IN ('even', 'asap')),
    status text NOT NULL CONSTRAINT ck_line_status CHECK (status IN ('Draft', 'PendingReservation',
        'Reserved', 'PendingBooking', 'Booked', 'InFlight', 'Finished', 'Expired', 'Declined',
        'Canceled', 'Paused', 'Stopped')),
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    quantity integer NOT NULL,
    cpm_vnd bigint NOT NULL CONSTRAINT ck_line_cpm_vnd CHECK (cpm_vnd >= 0),
    amount_vnd bigint NOT NULL CONSTRAINT ck_line_amount_vnd CHECK (amount_vnd BETWEEN 0 AND 1000000000000000),
    vat_vnd bigint NOT NULL CONSTRAINT ck_line_vat_vnd CHECK (vat_vnd BETWEEN 0 AND amount_vnd),
    hold_expires_at timestamptz,
    version integer NOT NULL CONSTRAINT ck_line_version CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_line_agency_id_id UNIQUE (agency_id, id),
    CONSTRAINT ck_line_flight CHECK (ends_on >= starts_on AND ends_on - starts_on < 366),
    CONSTRAINT ck_line_goal CHECK (
        (priority = 'guaranteed' AND quantity > 0)
        OR (priority = 'house' AND quantity = 0 AND amount_vnd = 0)),
    CONSTRAINT ck_line_hold CHECK ((status IN ('Reserved', 'PendingBooking')) = (hold_expires_at IS NOT NULL)),
    CONSTRAINT fk_line_agency_id_order_id_ad_order
        FOREIGN KEY (agency_id, order_id) REFERENCES ad_order (agency_id, id),
    CONSTRAINT fk_line_agency_id_product_id_product
        FOREIGN KEY (agency_id, product_id) REFERENCES product (agency_id, id)
);
CREATE INDEX ix_line_agency_id_status ON line (agency_id, status);
CREATE TABLE line_change (
    line_id uuid NOT NULL,
    version integer NOT NULL,
    agency_id text NOT NULL,
    action text NOT NULL,
    from_status text NOT NULL,
    to_status text NOT NULL,
    actor text NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_line_change PRIMARY KEY (line_id, version),
    CONSTRAINT fk_line_change_agency_id_line_id_line
        FOREIGN KEY (agency_id, line_id) REFERENCES line (agency_id, id)
);
CREATE TABLE idempotency_key (
    agency_id text NOT NULL CONSTRAINT fk_idempotency_key_agency_id_agency REFERENCES agency (id),
    key text NOT NULL CONSTRAINT ck_idempotency_key_key CHECK (length(key) BETWEEN 1 AND 200),
    fingerprint bytea NOT NULL,
    status_code integer,
    body bytea,
    headers text NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_idempotency_key PRIMARY KEY (agency_id, key)
);
"""

CREATIVES = """
CREATE TABLE creative (
    id uuid NOT NULL CONSTRAINT pk_creative PRIMARY KEY,
    agency_id text NOT NULL,
    line_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT ck_creative_kind CHECK (kind IN ('native', 'image')),
    headline text NOT NULL CONSTRAINT ck_creative_headline CHECK (length(headline) BETWEEN 1 AND 90),
    body text NOT NULL CONSTRAINT ck_creative_body CHECK (length(body) <= 200),
    call_to_action text NOT NULL CONSTRAINT ck_creative_call_to_action CHECK (length(call_to_action) <= 30),
    click_url text NOT NULL CONSTRAINT ck_creative_click_url
        CHECK (click_url ~ '^https?://' AND length(click_url) <= 2000),
    theme text NOT NULL CONSTRAINT ck_creative_theme
        CHECK (theme IN ('red', 'green', 'blue', 'amber', 'slate')),
    active boolean NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_creative_agency_id_id UNIQUE (agency_id, id),
    CONSTRAINT fk_creative_agency_id_line_id_line
        FOREIGN KEY (agency_id, line_id) REFERENCES line (agency_id, id)
);
CREATE INDEX ix_creative_line_id ON creative (line_id);
CREATE TABLE creative_image (
    creative_id uuid NOT NULL CONSTRAINT pk_creative_image PRIMARY KEY,
    agency_id text NOT NULL,
    content bytea NOT NULL CONSTRAINT ck_creative_image_content CHECK (length(content) <= 1048576),
    content_type text NOT NULL CONSTRAINT ck_creative_image_content_type
        CHECK (content_type IN ('image/png', 'image/jpeg', 'image/gif', 'image/webp')),
    width integer NOT NULL CONSTRAINT ck_creative_image_width CHECK (width BETWEEN 1 AND 4000),
    height integer NOT NULL CONSTRAINT ck_creative_image_height CHECK (height BETWEEN 1 AND 4000),
    digest text NOT NULL,
    CONSTRAINT fk_creative_image_agency_id_creative_id_creative
        FOREIGN KEY (agency_id, creative_id) REFERENCES creative (agency_id, id)
);
"""

# No foreign key from delivery_event: every counted event also writes line_day in the same statement, whose key holds.
DELIVERY = """
CREATE TABLE delivery_event (
    nonce uuid NOT NULL,
    kind smallint NOT NULL CONSTRAINT ck_delivery_event_kind CHECK (kind BETWEEN 1 AND 3),
    agency_id text NOT NULL,
    line_id uuid NOT NULL,
    creative_id uuid NOT NULL,
    placement_id uuid NOT NULL,
    lease_id bigint NOT NULL,
    counted_on date NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_delivery_event PRIMARY KEY (nonce, kind)
);
CREATE INDEX ix_delivery_event_line_id ON delivery_event (line_id);
CREATE TABLE line_day (
    line_id uuid NOT NULL CONSTRAINT fk_line_day_line_id_line REFERENCES line (id),
    counted_on date NOT NULL,
    impressions bigint NOT NULL CONSTRAINT ck_line_day_impressions CHECK (impressions >= 0),
    viewables bigint NOT NULL CONSTRAINT ck_line_day_viewables CHECK (viewables >= 0),
    clicks bigint NOT NULL CONSTRAINT ck_line_day_clicks CHECK (clicks >= 0),
    recognised bigint NOT NULL DEFAULT 0,
    recognised_vnd bigint NOT NULL DEFAULT 0,
    CONSTRAINT pk_line_day PRIMARY KEY (line_id, counted_on),
    CONSTRAINT ck_line_day_recognised CHECK (recognised BETWEEN 0 AND impressions)
) WITH (fillfactor = 60);
CREATE INDEX ix_line_day_counted_on ON line_day (counted_on);
CREATE TABLE lease (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_lease PRIMARY KEY,
    line_id uuid NOT NULL CONSTRAINT fk_lease_line_id_line REFERENCES line (id),
    units integer NOT NULL,
    counted integer NOT NULL DEFAULT 0,
    granted_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT ck_lease_units CHECK (counted BETWEEN 0 AND units)
) WITH (fillfactor = 60);
CREATE INDEX ix_lease_line_id_expires_at ON lease (line_id, expires_at);
CREATE FUNCTION ads_plan_notify() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('ads_plan', ''); RETURN NULL; END $$;
"""

PLAN_TABLES = ("agency", "placement", "product_placement", "line", "creative", "creative_image")


def upgrade() -> None:
    for statements in (
        agencies.SCHEMA_V1,
        outbox.SCHEMA_V1,
        audit.SCHEMA_V1,
        CATALOGUE,
        BOOKINGS,
        CREATIVES,
        DELIVERY,
    ):
        for statement in _split(statements):
            op.execute(statement)
    run_script(
        REFUSE_CHANGE_V1,
        append_only("line_change"),
        kept("ad_order", "line", "creative", "rate", "line_day"),
    )
    for table in PLAN_TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_plan AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ads_plan_notify()"
        )


def _split(statements: str) -> list[str]:
    """One statement at a time (the driver prepares them); a function's body is not cut."""
    parts: list[str] = []
    current = ""
    for piece in statements.split(";"):
        current += piece
        if current.count("$$") % 2 == 0:
            if current.strip():
                parts.append(current)
            current = ""
        else:
            current += ";"
    return parts
