-- Final rulings that other cases are to follow; they bind by the version of the responsibility list they were drafted into.

CREATE TABLE precedents (
    -- The arbitration's.
    precedent_id    uuid        PRIMARY KEY,
    case_id         uuid        NOT NULL,
    item_code       text        NOT NULL,
    lead_org_id     uuid        NOT NULL,
    -- Whose duty it was ruled not to be; unset: it stayed the objector's.
    relieved_org_id uuid,
    basis_code      text        NOT NULL,
    final_at        timestamptz NOT NULL,
    effective_on    date        NOT NULL,
    -- The latest version it was drafted into.
    list_version    integer     REFERENCES list_versions
);
