-- Signed tasks as staffing needs them, and who was asked to do them.
CREATE TABLE tasks (
    task_id       uuid PRIMARY KEY,
    case_id       uuid        NOT NULL,
    org_id        uuid        NOT NULL,
    unit_id       uuid        NOT NULL,
    line          text,
    item_code     text        NOT NULL,
    place_unit_id uuid,
    skills        text[]      NOT NULL,
    -- Workload in minutes, and the version of the weights it was taken from.
    weight        integer     NOT NULL,
    weight_version integer    NOT NULL,
    urgent        boolean     NOT NULL,
    -- S-2: the handling ends in a decision.
    decision      boolean     NOT NULL,
    due_at        timestamptz,
    -- 1 open, 2 unfilled, 3 submitted, 4 objected, 5 ended
    state         smallint    NOT NULL,
    -- Grows whenever the work starts over; those who were asked count per round.
    round         integer     NOT NULL,
    version       bigint      NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX tasks_case ON tasks (case_id);

CREATE TABLE assignments (
    assignment_id  uuid PRIMARY KEY,
    task_id        uuid        NOT NULL,
    case_id        uuid        NOT NULL,
    org_id         uuid        NOT NULL,
    unit_id        uuid        NOT NULL,
    line           text,
    worker_id      uuid        NOT NULL,
    person_id      uuid        NOT NULL,
    worker_ref     text        NOT NULL,
    item_code      text        NOT NULL,
    place_unit_id  uuid,
    weight         integer     NOT NULL,
    round          integer     NOT NULL,
    -- 1 offered, 2 accepted, 3 on site, 4 done, 5 confirmed, 6 declined, 7 timed out, 8 cancelled
    state          smallint    NOT NULL,
    offered_at     timestamptz NOT NULL,
    offer_due_at   timestamptz NOT NULL,
    due_at         timestamptz,
    accepted_at    timestamptz,
    on_site_at     timestamptz,
    done_at        timestamptz,
    ended_at       timestamptz,
    minutes        integer     NOT NULL DEFAULT 0,
    evidence       text[]      NOT NULL DEFAULT '{}',
    reasons        text[]      NOT NULL,
    end_reason     text        NOT NULL DEFAULT '',
    version        bigint      NOT NULL
) WITH (fillfactor = 80);
-- Exactly one active assignment per task.
CREATE UNIQUE INDEX assignments_active ON assignments (task_id) WHERE state IN (1, 2, 3, 4);
CREATE INDEX assignments_task ON assignments (task_id);
CREATE INDEX assignments_case ON assignments (case_id);
CREATE INDEX assignments_person ON assignments (person_id, assignment_id DESC);
CREATE INDEX assignments_org ON assignments (org_id, assignment_id DESC);
CREATE INDEX assignments_worker_open ON assignments (worker_id) WHERE state IN (1, 2, 3);
CREATE INDEX assignments_offer_due ON assignments (offer_due_at) WHERE state = 1;
