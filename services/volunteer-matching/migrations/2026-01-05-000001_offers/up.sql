-- Volunteers, offers to partners, and the hours they served.

CREATE TABLE volunteers (
    volunteer_id  uuid PRIMARY KEY,
    person_id     uuid NOT NULL,
    volunteer_ref text NOT NULL,
    org_id        uuid NOT NULL,
    home_unit_id  uuid,
    -- Null: not told; the organisation's own are taken instead.
    skill_codes   text[],
    -- The grant that made the person a volunteer here, if one did; the end of the grant ends it.
    grant_id      uuid,
    state         text NOT NULL CHECK (state IN ('registered', 'verified', 'active', 'paused', 'left')),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    UNIQUE (org_id, person_id)
);
CREATE INDEX volunteers_person ON volunteers (person_id);
CREATE INDEX volunteers_grant ON volunteers (grant_id) WHERE grant_id IS NOT NULL;

CREATE TABLE offers (
    offer_id      uuid PRIMARY KEY,
    case_id       uuid NOT NULL,
    org_id        uuid NOT NULL,
    mode          text NOT NULL,
    state         text NOT NULL CHECK (state IN ('offered', 'accepted', 'confirmed', 'declined', 'expired',
                                                 'withdrawn', 'completed', 'given_up')),
    item_code     text NOT NULL,
    place_unit_id uuid,
    skill_codes   text[] NOT NULL DEFAULT '{}',
    due_at        timestamptz NOT NULL,
    candidates    jsonb NOT NULL DEFAULT '[]',
    volunteer_id  uuid REFERENCES volunteers,
    version       bigint NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
CREATE INDEX offers_org ON offers (org_id, offer_id DESC);
CREATE INDEX offers_case ON offers (case_id);
CREATE INDEX offers_volunteer ON offers (volunteer_id, offer_id DESC) WHERE volunteer_id IS NOT NULL;
CREATE INDEX offers_open ON offers (volunteer_id) WHERE state IN ('accepted', 'confirmed');

CREATE TABLE service_records (
    record_id    uuid PRIMARY KEY,
    offer_id     uuid NOT NULL REFERENCES offers,
    case_id      uuid NOT NULL,
    volunteer_id uuid REFERENCES volunteers,
    org_id       uuid NOT NULL,
    minutes      integer NOT NULL CHECK (minutes > 0),
    state        text NOT NULL CHECK (state IN ('drafted', 'beneficiary_confirmed', 'org_confirmed', 'locked', 'voided')),
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz NOT NULL,
    CHECK (ended_at > started_at)
);
-- One effect per offer: a second record would count the same hours twice.
CREATE UNIQUE INDEX service_records_live ON service_records (offer_id) WHERE state <> 'voided';
CREATE INDEX service_records_org ON service_records (org_id, record_id DESC);
CREATE INDEX service_records_volunteer ON service_records (volunteer_id, record_id DESC);
