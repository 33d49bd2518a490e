-- So many articles that were paid for at once, to be chosen until a day. Whether it still opens any follows from its order's payment
-- (given back whole: no more) and from its uses; nothing of it changes.
CREATE TABLE bundle (
    id uuid NOT NULL CONSTRAINT pk_bundle PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    order_id uuid NOT NULL CONSTRAINT uq_bundle_order_id UNIQUE,
    uses integer NOT NULL CONSTRAINT ck_bundle_uses CHECK (uses BETWEEN 2 AND 1000),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    CONSTRAINT ck_bundle_valid_until CHECK (valid_until > valid_from),
    CONSTRAINT uq_bundle_whole UNIQUE (id, agency, reader_id, uses),
    CONSTRAINT fk_bundle_order_id_sales_order FOREIGN KEY (order_id, agency) REFERENCES sales_order (id, agency),
    CONSTRAINT fk_bundle_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency)
);
CREATE INDEX ix_bundle_reader_id ON bundle (reader_id, valid_until);
CREATE INDEX ix_bundle_valid_until ON bundle (valid_until);

-- One article of a bundle. The number is counted from 1 and never above the bundle's uses, which the row repeats: the foreign key
-- holds them to be the bundle's.
CREATE TABLE bundle_use (
    id uuid NOT NULL CONSTRAINT pk_bundle_use PRIMARY KEY,
    bundle_id uuid NOT NULL,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    uses integer NOT NULL,
    number integer NOT NULL,
    -- The newspaper's own id of it.
    article text NOT NULL CONSTRAINT ck_bundle_use_article CHECK (article ~ '^[A-Za-z0-9][A-Za-z0-9._~-]{0,119}$'),
    used_at timestamptz NOT NULL,
    readable_until timestamptz NOT NULL,
    CONSTRAINT ck_bundle_use_number CHECK (number BETWEEN 1 AND uses),
    CONSTRAINT ck_bundle_use_readable_until CHECK (readable_until > used_at),
    CONSTRAINT uq_bundle_use_number UNIQUE (bundle_id, number),
    CONSTRAINT uq_bundle_use_article UNIQUE (bundle_id, article),
    CONSTRAINT uq_bundle_use_id_agency UNIQUE (id, agency),
    CONSTRAINT fk_bundle_use_bundle_id_bundle FOREIGN KEY (bundle_id, agency, reader_id, uses)
        REFERENCES bundle (id, agency, reader_id, uses)
);
