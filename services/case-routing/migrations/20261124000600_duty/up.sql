-- Duties of departments on their way down: transfers and admissions. What is in force stands in the responsibility list.
CREATE TABLE duties (
    duty_id     uuid        PRIMARY KEY,
    -- transfer, admission
    kind        text        NOT NULL,
    from_org_id uuid        NOT NULL,
    to_org_id   uuid        NOT NULL,
    state       text        NOT NULL,
    version     bigint      NOT NULL,
    -- When something is due for it by itself: a deadline, a first or a last day.
    due_at      timestamptz,
    -- The whole aggregate.
    doc         text        NOT NULL
);
CREATE INDEX duties_due ON duties (due_at, duty_id) WHERE due_at IS NOT NULL;

-- An item goes to one holder by one duty at a time; removed when it is over.
CREATE TABLE duty_items (
    item_code text NOT NULL,
    to_org_id uuid NOT NULL,
    duty_id   uuid NOT NULL REFERENCES duties,
    CONSTRAINT duty_items_once PRIMARY KEY (item_code, to_org_id)
);
CREATE INDEX duty_items_duty ON duty_items (duty_id);

-- Work that communities sent back; the district reads it. Only ever appended to.
CREATE TABLE admission_refusals (
    seq           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id       uuid        NOT NULL REFERENCES cases,
    task_id       uuid        NOT NULL UNIQUE,
    org_id        uuid        NOT NULL,
    sender_org_id uuid        NOT NULL,
    item_code     text        NOT NULL,
    reason_code   text        NOT NULL,
    refused_at    timestamptz NOT NULL
);
