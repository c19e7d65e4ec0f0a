-- People and their grants. A column named *_sealed holds an encrypted personal field, *_index a keyed blind index;
-- nothing personal stands in clear.

CREATE TABLE persons (
    person_id      uuid PRIMARY KEY,
    pseudonym      text        NOT NULL UNIQUE,
    name_sealed    bytea       NOT NULL,
    id_no_sealed   bytea,
    id_no_index    bytea UNIQUE,
    phone_sealed   bytea,
    phone_index    bytea,
    birth_year     integer CHECK (birth_year BETWEEN 1880 AND 2200),
    home_unit_id   uuid        NOT NULL REFERENCES units,
    org_id         uuid REFERENCES organizations,
    notice_version text        NOT NULL,
    created_at     timestamptz NOT NULL,
    version        bigint      NOT NULL DEFAULT 1,
    CHECK ((id_no_sealed IS NULL) = (id_no_index IS NULL)),
    CHECK ((phone_sealed IS NULL) = (phone_index IS NULL))
);
CREATE INDEX persons_phone ON persons (phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX persons_home_unit ON persons (home_unit_id);

-- role × unit subtree × line × purposes × time. Role and state are the numbers of the protos.
CREATE TABLE role_grants (
    grant_id     uuid PRIMARY KEY,
    person_id    uuid        NOT NULL REFERENCES persons,
    role         smallint    NOT NULL CHECK (role > 0),
    unit_id      uuid        NOT NULL REFERENCES units,
    line         text,
    org_id       uuid REFERENCES organizations,
    purposes     text[],
    valid_from   timestamptz NOT NULL,
    valid_to     timestamptz,
    state        smallint    NOT NULL CHECK (state BETWEEN 1 AND 4),
    approved_by  uuid[]      NOT NULL,
    -- whether RoleGranted has told of it: once it is in force
    told         boolean     NOT NULL,
    version      bigint      NOT NULL DEFAULT 1,
    CHECK (valid_to IS NULL OR valid_to > valid_from),
    -- the grantee never approves (the seed's first grants have no approver)
    CHECK (NOT person_id = ANY (approved_by))
);
CREATE INDEX role_grants_person ON role_grants (person_id, grant_id);
CREATE INDEX role_grants_unit ON role_grants (unit_id) WHERE state IN (1, 2);
CREATE INDEX role_grants_beginning ON role_grants (valid_from) WHERE state = 2 AND NOT told;
CREATE INDEX role_grants_expiry ON role_grants (valid_to) WHERE state IN (1, 2) AND valid_to IS NOT NULL;
-- I-4: of system (29), security (30) and audit (31) administrator a person holds at most one.
CREATE UNIQUE INDEX role_grants_one_administrator ON role_grants (person_id)
    WHERE role IN (29, 30, 31) AND state IN (1, 2);
