"""Agencies, lineage, imports, baseline, targets, entries with their sums, reporting views."""

from shared import agencies, audit, inbox
from shared.database.migrations import run_script
from shared.database.privileges import REFUSE_CHANGE_V1, append_only

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEGMENT = "CHECK (segment IN ('print', 'online', 'radio', 'tv'))"
STREAM = """CHECK (stream IN ('subscription', 'single_article', 'contribution', 'advertising',
    'state_commission', 'syndication', 'events', 'circulation', 'other'))"""
CURRENCY = "CHECK (currency ~ '^[A-Z]{3}$')"
AMOUNT = "CHECK (amount BETWEEN -1000000000000000 AND 1000000000000000)"


def series(table: str) -> str:
    return f"""
    agency text NOT NULL CONSTRAINT fk_{table}_agency_agency REFERENCES agency (id),
    segment text NOT NULL CONSTRAINT ck_{table}_segment {SEGMENT},
    stream text NOT NULL CONSTRAINT ck_{table}_stream {STREAM},
    currency text NOT NULL CONSTRAINT ck_{table}_currency {CURRENCY},"""


LINEAGE = f"""
CREATE TABLE lineage (
    predecessor text NOT NULL CONSTRAINT fk_lineage_predecessor_agency REFERENCES agency (id),
    segment text NOT NULL CONSTRAINT ck_lineage_segment {SEGMENT},
    successor text NOT NULL CONSTRAINT fk_lineage_successor_agency REFERENCES agency (id),
    effective_on date NOT NULL,
    note text NOT NULL DEFAULT '',
    -- one successor for each segment: nothing of a predecessor can be counted twice
    CONSTRAINT pk_lineage PRIMARY KEY (predecessor, segment),
    CONSTRAINT ck_lineage_distinct CHECK (predecessor <> successor)
);
CREATE TABLE growth_target (
    agency text NOT NULL CONSTRAINT fk_growth_target_agency_agency REFERENCES agency (id),
    deadline date NOT NULL,
    ratio numeric(6,4) NOT NULL CONSTRAINT ck_growth_target_ratio CHECK (ratio BETWEEN -1 AND 10),
    CONSTRAINT pk_growth_target PRIMARY KEY (agency, deadline)
);
"""

IMPORTS = f"""
CREATE TABLE import_file (
    id uuid NOT NULL CONSTRAINT pk_import_file PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_import_file_agency_agency REFERENCES agency (id),
    kind text NOT NULL CONSTRAINT ck_import_file_kind CHECK (kind IN ('baseline', 'revenue')),
    file_name text NOT NULL,
    sha256 text NOT NULL CONSTRAINT ck_import_file_sha256 CHECK (sha256 ~ '^[0-9a-f]{{64}}$'),
    content bytea NOT NULL,
    uploaded_by text NOT NULL,
    uploaded_at timestamptz NOT NULL,
    rows integer NOT NULL DEFAULT 0,
    known_rows integer NOT NULL DEFAULT 0,
    recorded_rows integer NOT NULL DEFAULT 0,
    total_vnd bigint NOT NULL DEFAULT 0,
    confirmed_at timestamptz,
    confirmed_by text,
    applied_at timestamptz,
    CONSTRAINT uq_import_file_agency UNIQUE (agency, kind, sha256),
    CONSTRAINT ck_import_file_rows CHECK (
        known_rows BETWEEN 0 AND rows AND recorded_rows BETWEEN 0 AND rows),
    CONSTRAINT ck_import_file_confirmed CHECK (
        (confirmed_at IS NULL) = (confirmed_by IS NULL) AND (recorded_rows = 0 OR confirmed_at IS NOT NULL)),
    CONSTRAINT ck_import_file_applied CHECK (
        applied_at IS NULL OR (confirmed_at IS NOT NULL AND recorded_rows = rows))
);
-- One file of an agency at a time: what was compared at the confirmation stays true to the last row.
CREATE UNIQUE INDEX uq_import_file_recording ON import_file (agency)
    WHERE confirmed_at IS NOT NULL AND applied_at IS NULL;
CREATE TABLE import_row (
    import_id uuid NOT NULL CONSTRAINT fk_import_row_import_id_import_file REFERENCES import_file (id),
    position integer NOT NULL CONSTRAINT ck_import_row_position CHECK (position > 0),
    number integer NOT NULL,
    key text NOT NULL,
    first_on date NOT NULL,
    last_on date NOT NULL,
    segment text NOT NULL,
    stream text NOT NULL,
    payer text NOT NULL,
    law_source text NOT NULL,
    account text NOT NULL,
    amount bigint NOT NULL CONSTRAINT ck_import_row_amount {AMOUNT},
    document text NOT NULL,
    CONSTRAINT pk_import_row PRIMARY KEY (import_id, position),
    CONSTRAINT ck_import_row_days CHECK (last_on >= first_on)
);
"""

BASELINE = f"""
CREATE TABLE baseline_version (
    agency text NOT NULL CONSTRAINT fk_baseline_version_agency_agency REFERENCES agency (id),
    version integer NOT NULL CONSTRAINT ck_baseline_version_version CHECK (version > 0),
    baseline_year integer NOT NULL
        CONSTRAINT ck_baseline_version_year CHECK (baseline_year BETWEEN 2000 AND 2100),
    origin text NOT NULL CONSTRAINT ck_baseline_version_origin CHECK (origin IN ('import', 'lineage')),
    import_id uuid CONSTRAINT fk_baseline_version_import_id_import_file REFERENCES import_file (id),
    composed_of jsonb NOT NULL DEFAULT '[]',
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    approver text,
    frozen_at timestamptz,
    sha256 text CONSTRAINT ck_baseline_version_sha256 CHECK (sha256 ~ '^[0-9a-f]{{64}}$'),
    CONSTRAINT pk_baseline_version PRIMARY KEY (agency, version),
    CONSTRAINT ck_baseline_version_frozen CHECK (
        (frozen_at IS NULL) = (approver IS NULL) AND (frozen_at IS NULL) = (sha256 IS NULL)),
    CONSTRAINT ck_baseline_version_import CHECK ((origin = 'import') = (import_id IS NOT NULL))
);
CREATE TABLE baseline_row (
    {series("baseline_row")}
    version integer NOT NULL,
    month smallint NOT NULL CONSTRAINT ck_baseline_row_month CHECK (month BETWEEN 1 AND 12),
    amount bigint NOT NULL CONSTRAINT ck_baseline_row_amount {AMOUNT},
    CONSTRAINT pk_baseline_row PRIMARY KEY (agency, version, segment, stream, currency, month),
    CONSTRAINT fk_baseline_row_agency_baseline_version
        FOREIGN KEY (agency, version) REFERENCES baseline_version (agency, version)
);
CREATE FUNCTION baseline_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.frozen_at IS NOT NULL THEN
        RAISE EXCEPTION 'baseline % version % is frozen', OLD.agency, OLD.version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER baseline_version_frozen BEFORE UPDATE OR DELETE ON baseline_version
    FOR EACH ROW EXECUTE FUNCTION baseline_version_frozen();
CREATE FUNCTION baseline_row_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    row_ baseline_row := CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END;
BEGIN
    -- FOR SHARE: a freeze that runs at the same moment is waited for, so no row slips in after the hash
    PERFORM 1 FROM baseline_version
        WHERE agency = row_.agency AND version = row_.version AND frozen_at IS NULL FOR SHARE;
    IF NOT FOUND OR (TG_OP = 'UPDATE' AND (NEW.agency, NEW.version) <> (OLD.agency, OLD.version)) THEN
        RAISE EXCEPTION 'baseline % version % is frozen', row_.agency, row_.version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER baseline_row_frozen BEFORE INSERT OR UPDATE OR DELETE ON baseline_row
    FOR EACH ROW EXECUTE FUNCTION baseline_row_frozen();
"""

ENTRIES = f"""
CREATE TABLE revenue_entry (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_revenue_entry PRIMARY KEY,
    {series("revenue_entry")}
    source_reference text NOT NULL CONSTRAINT ck_revenue_entry_source_reference
        CHECK (length(source_reference) BETWEEN 1 AND 300),
    payer text NOT NULL CONSTRAINT ck_revenue_entry_payer
        CHECK (payer IN ('reader', 'business', 'state')),
    law_source text NOT NULL CONSTRAINT ck_revenue_entry_law_source CHECK (law_source IN (
        'governing_body_funding', 'sales_and_access_rights', 'advertising', 'copyright',
        'business_and_services', 'commissioned_public_service', 'financial_and_equity',
        'paid_research_papers')),
    account text NOT NULL,
    amount bigint NOT NULL CONSTRAINT ck_revenue_entry_amount {AMOUNT},
    recognised_on date NOT NULL,
    document text NOT NULL DEFAULT '',
    import_id uuid CONSTRAINT fk_revenue_entry_import_id_import_file REFERENCES import_file (id),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_revenue_entry_agency UNIQUE (agency, source_reference),
    CONSTRAINT ck_revenue_entry_state CHECK ((stream = 'state_commission')
        = (law_source IN ('governing_body_funding', 'commissioned_public_service')))
);
CREATE INDEX ix_revenue_entry_agency_recognised_on ON revenue_entry (agency, recognised_on);
CREATE TABLE deferred_entry (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_deferred_entry PRIMARY KEY,
    {series("deferred_entry")}
    source_reference text NOT NULL CONSTRAINT ck_deferred_entry_source_reference
        CHECK (length(source_reference) BETWEEN 1 AND 300),
    amount bigint NOT NULL CONSTRAINT ck_deferred_entry_amount {AMOUNT},
    occurred_on date NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_deferred_entry_agency UNIQUE (agency, source_reference)
);
CREATE TABLE mrr_movement (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_mrr_movement PRIMARY KEY,
    {series("mrr_movement")}
    source_reference text NOT NULL CONSTRAINT ck_mrr_movement_source_reference
        CHECK (length(source_reference) BETWEEN 1 AND 300),
    movement text NOT NULL CONSTRAINT ck_mrr_movement_movement CHECK (movement IN (
        'new', 'expansion', 'contraction', 'churn', 'reactivation')),
    amount bigint NOT NULL CONSTRAINT ck_mrr_movement_amount {AMOUNT},
    occurred_on date NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_mrr_movement_agency UNIQUE (agency, source_reference)
);
CREATE INDEX ix_mrr_movement_agency_occurred_on ON mrr_movement (agency, occurred_on);

-- Sums, kept by the database in the transaction of the entry. Unlike entries they are derived: rebuilt at will.
CREATE TABLE revenue_daily (
    {series("revenue_daily")}
    day date NOT NULL,
    amount bigint NOT NULL,
    entries bigint NOT NULL,
    CONSTRAINT pk_revenue_daily PRIMARY KEY (agency, segment, stream, currency, day)
);
CREATE INDEX ix_revenue_daily_day ON revenue_daily (day);
CREATE TABLE revenue_yearly (
    {series("revenue_yearly")}
    year integer NOT NULL,
    amount bigint NOT NULL,
    entries bigint NOT NULL,
    CONSTRAINT pk_revenue_yearly PRIMARY KEY (agency, segment, stream, currency, year)
);
-- When a series last heard of revenue by an event. Not a sum: imports do not count, they come when somebody brings them.
CREATE TABLE revenue_heard (
    {series("revenue_heard")}
    recorded_at timestamptz NOT NULL,
    CONSTRAINT pk_revenue_heard PRIMARY KEY (agency, segment, stream, currency)
);
CREATE TABLE deferred_total (
    {series("deferred_total")}
    amount bigint NOT NULL,
    entries bigint NOT NULL,
    CONSTRAINT pk_deferred_total PRIMARY KEY (agency, segment, stream, currency)
);
CREATE TABLE mrr_daily (
    {series("mrr_daily")}
    movement text NOT NULL,
    day date NOT NULL,
    amount bigint NOT NULL,
    entries bigint NOT NULL,
    CONSTRAINT pk_mrr_daily PRIMARY KEY (agency, segment, stream, currency, movement, day)
);
-- Grows with every change of an agency's figures: what the exporter has computed for a revision stays right.
CREATE TABLE agency_revision (
    agency text NOT NULL CONSTRAINT pk_agency_revision PRIMARY KEY
        CONSTRAINT fk_agency_revision_agency_agency REFERENCES agency (id),
    revision bigint NOT NULL
);
"""

SUMS = """
CREATE FUNCTION bump_revision(agencies text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO agency_revision (agency, revision)
    SELECT DISTINCT a, 1 FROM unnest(agencies) a ORDER BY a
    ON CONFLICT (agency) DO UPDATE SET revision = agency_revision.revision + 1;
$$;
CREATE FUNCTION sum_revenue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- first the agencies' rows, in order: whoever writes for the same agency waits here, and nobody deadlocks
    PERFORM bump_revision((SELECT array_agg(DISTINCT agency) FROM added));
    INSERT INTO revenue_daily AS d (agency, segment, stream, currency, day, amount, entries)
    SELECT agency, segment, stream, currency, recognised_on, sum(amount), count(*) FROM added
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT ON CONSTRAINT pk_revenue_daily DO UPDATE
        SET amount = d.amount + excluded.amount, entries = d.entries + excluded.entries;
    INSERT INTO revenue_yearly AS y (agency, segment, stream, currency, year, amount, entries)
    SELECT agency, segment, stream, currency, extract(year FROM recognised_on)::int, sum(amount), count(*)
    FROM added GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT ON CONSTRAINT pk_revenue_yearly DO UPDATE
        SET amount = y.amount + excluded.amount, entries = y.entries + excluded.entries;
    INSERT INTO revenue_heard AS h (agency, segment, stream, currency, recorded_at)
    SELECT agency, segment, stream, currency, max(recorded_at) FROM added WHERE import_id IS NULL
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT ON CONSTRAINT pk_revenue_heard DO UPDATE
        SET recorded_at = greatest(h.recorded_at, excluded.recorded_at);
    RETURN NULL;
END $$;
CREATE TRIGGER revenue_entry_summed AFTER INSERT ON revenue_entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sum_revenue();
CREATE FUNCTION sum_deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bump_revision((SELECT array_agg(DISTINCT agency) FROM added));
    INSERT INTO deferred_total AS t (agency, segment, stream, currency, amount, entries)
    SELECT agency, segment, stream, currency, sum(amount), count(*) FROM added
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT ON CONSTRAINT pk_deferred_total DO UPDATE
        SET amount = t.amount + excluded.amount, entries = t.entries + excluded.entries;
    RETURN NULL;
END $$;
CREATE TRIGGER deferred_entry_summed AFTER INSERT ON deferred_entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sum_deferred();
CREATE FUNCTION sum_mrr() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bump_revision((SELECT array_agg(DISTINCT agency) FROM added));
    INSERT INTO mrr_daily AS d (agency, segment, stream, currency, movement, day, amount, entries)
    SELECT agency, segment, stream, currency, movement, occurred_on, sum(amount), count(*) FROM added
    GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT ON CONSTRAINT pk_mrr_daily DO UPDATE
        SET amount = d.amount + excluded.amount, entries = d.entries + excluded.entries;
    RETURN NULL;
END $$;
CREATE TRIGGER mrr_movement_summed AFTER INSERT ON mrr_movement
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sum_mrr();
CREATE FUNCTION revise_agency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bump_revision(ARRAY[CASE WHEN TG_OP = 'DELETE' THEN OLD.agency ELSE NEW.agency END]);
    RETURN NULL;
END $$;
CREATE TRIGGER growth_target_revised AFTER INSERT OR UPDATE OR DELETE ON growth_target
    FOR EACH ROW EXECUTE FUNCTION revise_agency();
CREATE TRIGGER baseline_version_revised AFTER INSERT OR UPDATE OR DELETE ON baseline_version
    FOR EACH ROW EXECUTE FUNCTION revise_agency();
"""

REPORTING = """
CREATE SCHEMA reporting;
-- Who carries on which segment of whom, as of today (the predecessor itself where nobody does).
CREATE VIEW reporting.ownership AS
WITH RECURSIVE walk AS (
    SELECT a.id AS member, s.segment, a.id AS owner
    FROM agency a CROSS JOIN unnest(ARRAY['print', 'online', 'radio', 'tv']) AS s (segment)
    UNION ALL
    SELECT w.member, w.segment, l.successor
    FROM walk w
    JOIN lineage l ON l.predecessor = w.owner AND l.segment = w.segment
    JOIN agency p ON p.id = l.predecessor
    WHERE l.effective_on <= (now() AT TIME ZONE p.time_zone)::date
)
SELECT w.member, w.segment, w.owner
FROM walk w
WHERE NOT EXISTS (
    SELECT 1 FROM lineage l JOIN agency p ON p.id = l.predecessor
    WHERE l.predecessor = w.owner AND l.segment = w.segment
      AND l.effective_on <= (now() AT TIME ZONE p.time_zone)::date);
CREATE VIEW reporting.agency AS
SELECT a.id AS agency, a.name, a.time_zone FROM agency a
WHERE EXISTS (SELECT 1 FROM reporting.ownership o WHERE o.owner = a.id);
CREATE VIEW reporting.revenue_daily AS
SELECT o.owner AS agency, d.agency AS recorded_for, d.segment, d.stream, d.currency, d.day, d.amount,
       d.entries, d.stream = 'state_commission' AS state_funded
FROM revenue_daily d JOIN reporting.ownership o ON o.member = d.agency AND o.segment = d.segment;
CREATE VIEW reporting.revenue_entry AS
SELECT o.owner AS agency, e.agency AS recorded_for, e.segment, e.stream, e.payer, e.law_source, e.account,
       e.currency, e.amount, e.recognised_on, e.source_reference, e.document, e.recorded_at
FROM revenue_entry e JOIN reporting.ownership o ON o.member = e.agency AND o.segment = e.segment;
CREATE VIEW reporting.baseline AS
SELECT r.agency, r.version, v.baseline_year, v.frozen_at, v.approver, v.sha256, r.segment, r.stream,
       r.currency, r.month, r.amount, r.stream = 'state_commission' AS state_funded
FROM baseline_row r JOIN baseline_version v USING (agency, version)
WHERE v.version = (SELECT max(version) FROM baseline_version x
                   WHERE x.agency = v.agency AND x.frozen_at IS NOT NULL)
  -- a segment that another agency has carried on is compared there, not here
  AND EXISTS (SELECT 1 FROM reporting.ownership o WHERE o.owner = r.agency AND o.segment = r.segment);
CREATE VIEW reporting.mrr_daily AS
SELECT o.owner AS agency, d.segment, d.stream, d.currency, d.movement, d.day, d.amount
FROM mrr_daily d JOIN reporting.ownership o ON o.member = d.agency AND o.segment = d.segment;
CREATE VIEW reporting.deferred AS
SELECT o.owner AS agency, t.segment, t.stream, t.currency, t.amount
FROM deferred_total t JOIN reporting.ownership o ON o.member = t.agency AND o.segment = t.segment;
"""

# The read-only role of Grafana, where the operator has made it (infra/postgres): these views and nothing else.
GRANTS = """
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'press_reporting') THEN
        GRANT USAGE ON SCHEMA reporting TO press_reporting;
        GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO press_reporting;
        ALTER DEFAULT PRIVILEGES IN SCHEMA reporting GRANT SELECT ON TABLES TO press_reporting;
    END IF;
END $$;
"""


def upgrade() -> None:
    run_script(agencies.SCHEMA_V1, audit.SCHEMA_V1, inbox.SCHEMA_V1)
    run_script(LINEAGE, IMPORTS, BASELINE, ENTRIES, SUMS, REPORTING, GRANTS)
    run_script(
        REFUSE_CHANGE_V1,
        append_only("import_row", "revenue_entry", "deferred_entry", "mrr_movement"),
        # Rows of a baseline may go until it is frozen (baseline_row_frozen); all at once they never may.
        *(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            for table in ("baseline_version", "baseline_row")
        ),
    )


def downgrade() -> None:
    raise RuntimeError("revenue entries are never taken back: restore a backup instead")
