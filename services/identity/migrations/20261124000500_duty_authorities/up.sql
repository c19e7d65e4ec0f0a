-- Authority that transfers of duties ask for (C-12): by transfer, as case-routing tells of it.
CREATE TABLE duty_authorities (
    duty_transfer_id uuid PRIMARY KEY,
    -- 1 asked, 2 granted, 3 refused, 4 withdrawn
    state            smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    from_org_id      uuid     NOT NULL,
    to_org_id        uuid     NOT NULL,
    line             text,
    item_codes       text[]   NOT NULL,
    -- Pseudonym; does not grant what he or she proposed.
    proposed_by      text     NOT NULL,
    basis_ref        text     NOT NULL,
    reason_code      text     NOT NULL,
    -- Pseudonym.
    decided_by       text     NOT NULL,
    decided_at       timestamptz,
    -- The transfer took effect; it is over.
    effective        boolean  NOT NULL,
    closed           boolean  NOT NULL,
    version          bigint   NOT NULL CHECK (version > 0),
    CHECK (NOT closed OR state <> 2)
);
