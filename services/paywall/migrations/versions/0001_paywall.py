"""Articles, policies, meters, entitlements."""

from alembic import op

from shared.agencies import SCHEMA_V1 as AGENCY
from shared.audit import SCHEMA_V1 as AUDIT
from shared.database.migrations import run_script
from shared.database.privileges import REFUSE_CHANGE_V1, append_only
from shared.inbox import SCHEMA_V1 as INBOX
from shared.outbox import SCHEMA_V1 as OUTBOX

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE article (
    agency text NOT NULL CONSTRAINT fk_article_agency_agency REFERENCES agency (id),
    id text NOT NULL CONSTRAINT ck_article_id CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._~-]{0,119}$'),
    title text NOT NULL CONSTRAINT ck_article_title CHECK (length(title) BETWEEN 1 AND 500),
    url text NOT NULL CONSTRAINT ck_article_url
        CHECK (url ~ '^https?://' AND length(url) <= 2000),
    section text NOT NULL CONSTRAINT ck_article_section CHECK (length(section) <= 120),
    tags text[] NOT NULL CONSTRAINT ck_article_tags CHECK (cardinality(tags) <= 50),
    access text NOT NULL CONSTRAINT ck_article_access
        CHECK (access IN ('free', 'metered', 'premium')),
    published_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_article PRIMARY KEY (agency, id)
);
CREATE FUNCTION article_notify() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('paywall_article', NEW.agency || '/' || NEW.id); RETURN NULL; END $$;
CREATE TRIGGER article_changed AFTER INSERT OR UPDATE ON article
    FOR EACH ROW EXECUTE FUNCTION article_notify();

CREATE TABLE policy_version (
    agency text NOT NULL CONSTRAINT fk_policy_version_agency_agency REFERENCES agency (id),
    version integer NOT NULL CONSTRAINT ck_policy_version_version CHECK (version >= 1),
    document jsonb NOT NULL CONSTRAINT ck_policy_version_document CHECK (
        jsonb_typeof(document -> 'rules') = 'array'
        AND jsonb_array_length(document -> 'rules') >= 1
        AND (document #>> '{allowance,anonymous}')::integer BETWEEN 0 AND 1000
        AND (document #>> '{allowance,registered}')::integer BETWEEN 0 AND 1000
        AND document ->> 'window' = 'month'
        AND document #>> '{failure,mode}' IN ('open', 'closed')
        AND (document #>> '{failure,timeout_ms}')::integer BETWEEN 20 AND 5000
    ),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    CONSTRAINT pk_policy_version PRIMARY KEY (agency, version)
);
CREATE FUNCTION policy_notify() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('paywall_policy', NEW.agency); RETURN NULL; END $$;
CREATE TRIGGER policy_added AFTER INSERT ON policy_version
    FOR EACH ROW EXECUTE FUNCTION policy_notify();

CREATE TABLE meter_window (
    agency text NOT NULL,
    meter_key text NOT NULL CONSTRAINT ck_meter_window_meter_key
        CHECK (meter_key ~ '^[akr]:' AND length(meter_key) <= 140),
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    used integer NOT NULL DEFAULT 0 CONSTRAINT ck_meter_window_used CHECK (used >= 0),
    CONSTRAINT pk_meter_window PRIMARY KEY (agency, meter_key, window_start),
    CONSTRAINT ck_meter_window_order CHECK (window_end > window_start)
);
CREATE INDEX ix_meter_window_window_end ON meter_window (window_end);
CREATE TABLE meter_view (
    agency text NOT NULL,
    meter_key text NOT NULL,
    window_start timestamptz NOT NULL,
    article_id text NOT NULL,
    viewed_at timestamptz NOT NULL,
    CONSTRAINT pk_meter_view PRIMARY KEY (agency, meter_key, window_start, article_id),
    CONSTRAINT fk_meter_view_agency_meter_window FOREIGN KEY (agency, meter_key, window_start)
        REFERENCES meter_window (agency, meter_key, window_start) ON DELETE CASCADE
);

CREATE TABLE entitlement (
    id uuid NOT NULL CONSTRAINT pk_entitlement PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    plan_code text NOT NULL,
    scope text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    revoked boolean NOT NULL,
    version bigint NOT NULL CONSTRAINT ck_entitlement_version CHECK (version >= 1),
    event_id uuid NOT NULL,
    event_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_entitlement_agency_reader_id ON entitlement (agency, reader_id);
CREATE FUNCTION entitlement_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.version, NEW.event_id) < (OLD.version, OLD.event_id) THEN
        RAISE EXCEPTION 'entitlement % is at version % already', OLD.id, OLD.version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER entitlement_never_goes_back BEFORE UPDATE ON entitlement
    FOR EACH ROW EXECUTE FUNCTION entitlement_guard();
CREATE FUNCTION entitlement_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_notify('paywall_entitlement', OLD.agency || '/' || OLD.reader_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_notify('paywall_entitlement', NEW.agency || '/' || NEW.reader_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entitlement_changed AFTER INSERT OR UPDATE OR DELETE ON entitlement
    FOR EACH ROW EXECUTE FUNCTION entitlement_notify();
"""

# One call counts a whole group of requests. Correct in every number of processes:
# the rows of meter_window are made, then locked, in one global order (no deadlock), and every
# statement after the lock sees what was committed before it (READ COMMITTED, volatile function).
# Plans are pinned to index look-ups: statistics of a young table would choose to scan it.
METER_COUNT = """
CREATE FUNCTION meter_count(
    p_agency text[], p_key text[], p_start timestamptz[], p_end timestamptz[],
    p_article text[], p_limit integer[], p_device text[], p_at timestamptz
) RETURNS TABLE (item bigint, granted boolean, counted boolean, used_now integer)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    INSERT INTO meter_window (agency, meter_key, window_start, window_end)
    SELECT DISTINCT ON (agency, key, start) agency, key, start, until
    FROM unnest(p_agency, p_key, p_start, p_end) AS i (agency, key, start, until)
    ORDER BY agency, key, start
    ON CONFLICT DO NOTHING;

    PERFORM 1 FROM (
        SELECT DISTINCT agency, key, start
        FROM unnest(p_agency, p_key, p_start) AS i (agency, key, start)
    ) AS i JOIN meter_window w
        ON w.agency = i.agency AND w.meter_key = i.key AND w.window_start = i.start
    ORDER BY w.agency, w.meter_key, w.window_start
    FOR UPDATE OF w;

    -- A device whose reader has signed in: the reader's views become the union of both.
    IF EXISTS (SELECT FROM unnest(p_device) AS d WHERE d IS NOT NULL) THEN
        WITH pair AS (
            SELECT DISTINCT agency, key, start, device
            FROM unnest(p_agency, p_key, p_start, p_device) AS i (agency, key, start, device)
            WHERE device IS NOT NULL AND device <> key
        ), moved AS (
            INSERT INTO meter_view AS v (agency, meter_key, window_start, article_id, viewed_at)
            SELECT p.agency, p.key, p.start, d.article_id, d.viewed_at
            FROM pair p JOIN meter_view d
                ON d.agency = p.agency AND d.meter_key = p.device AND d.window_start = p.start
            ON CONFLICT DO NOTHING
            RETURNING v.agency, v.meter_key, v.window_start
        )
        UPDATE meter_window w SET used = w.used + m.views
        FROM (SELECT agency, meter_key, window_start, count(*)::integer AS views
              FROM moved GROUP BY 1, 2, 3) AS m
        WHERE w.agency = m.agency AND w.meter_key = m.meter_key
            AND w.window_start = m.window_start;
    END IF;

    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT i.n, i.agency, i.key, i.start, i.article, i.allowance,
            v.article_id IS NOT NULL AS seen, w.used
        FROM unnest(p_agency, p_key, p_start, p_article, p_limit) WITH ORDINALITY
            AS i (agency, key, start, article, allowance, n)
        JOIN meter_window w
            ON w.agency = i.agency AND w.meter_key = i.key AND w.window_start = i.start
        LEFT JOIN meter_view v
            ON v.agency = i.agency AND v.meter_key = i.key AND v.window_start = i.start
            AND v.article_id = i.article
    ), fresh AS (
        SELECT a.agency, a.key, a.start, a.article, min(a.n) AS first,
            max(a.allowance) AS allowance, max(a.used) AS used
        FROM asked a WHERE NOT a.seen GROUP BY 1, 2, 3, 4
    ), ranked AS (
        SELECT f.*, row_number() OVER (PARTITION BY f.agency, f.key, f.start ORDER BY f.first)
            AS rank
        FROM fresh f
    ), opened AS MATERIALIZED (
        SELECT * FROM ranked r WHERE r.used + r.rank <= r.allowance
    ), stored AS (
        INSERT INTO meter_view (agency, meter_key, window_start, article_id, viewed_at)
        SELECT o.agency, o.key, o.start, o.article, p_at FROM opened o
    ), totals AS (
        UPDATE meter_window w SET used = w.used + o.views
        FROM (SELECT agency, key, start, count(*)::integer AS views FROM opened GROUP BY 1, 2, 3)
            AS o
        WHERE w.agency = o.agency AND w.meter_key = o.key AND w.window_start = o.start
        RETURNING w.agency, w.meter_key, w.window_start, w.used
    )
    SELECT a.n, a.seen OR o.article IS NOT NULL, o.first IS NOT DISTINCT FROM a.n,
        coalesce(t.used, a.used)
    FROM asked a
    LEFT JOIN opened o
        ON o.agency = a.agency AND o.key = a.key AND o.start = a.start AND o.article = a.article
    LEFT JOIN totals t
        ON t.agency = a.agency AND t.meter_key = a.key AND t.window_start = a.start
    ORDER BY a.n;
END $$;
"""


def run(script: str) -> None:
    """Several statements at once: the driver takes them only outside its prepared statements."""
    connection = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda raw: raw.execute(script))


def upgrade() -> None:
    for script in (AGENCY, AUDIT, OUTBOX, INBOX, SCHEMA, METER_COUNT):
        run(script)
    run_script(REFUSE_CHANGE_V1, append_only("policy_version"))
