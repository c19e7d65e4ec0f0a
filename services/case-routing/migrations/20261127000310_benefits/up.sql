-- Lasting benefits: what applications granted until it is looked at again. Who has one stands in the case alone.
CREATE TABLE benefits (
    -- The application that began it.
    benefit_id      uuid        PRIMARY KEY REFERENCES cases,
    tag_code        text        NOT NULL,
    since           timestamptz NOT NULL,
    -- First instant of the day on which it is looked at again.
    review_at       timestamptz NOT NULL,
    -- The application that it rests on: the first one, or the latest re-check that found it goes on.
    case_id         uuid        NOT NULL,
    -- The re-check that nobody has decided yet.
    recheck_case_id uuid,
    -- When its re-check is to begin: on the review day, or later where it could not. Nothing is due while one is open, and of
    -- one that has ended.
    due_at          timestamptz,
    ended_at        timestamptz,
    end_reason      text        NOT NULL DEFAULT '',
    version         bigint      NOT NULL CHECK (version > 0),
    CHECK ((due_at IS NULL) = (recheck_case_id IS NOT NULL OR ended_at IS NOT NULL)),
    CHECK (recheck_case_id IS NULL OR ended_at IS NULL)
);
CREATE INDEX benefits_due ON benefits (due_at, benefit_id) WHERE due_at IS NOT NULL;

-- Their re-checks: exactly one for each review.
CREATE TABLE benefit_rechecks (
    benefit_id uuid        NOT NULL REFERENCES benefits,
    review_at  timestamptz NOT NULL,
    case_id    uuid        NOT NULL UNIQUE,
    begun_at   timestamptz NOT NULL,
    outcome    text        NOT NULL CHECK (outcome IN ('open', 'renewed', 'ended')),
    CONSTRAINT benefit_rechecks_once PRIMARY KEY (benefit_id, review_at)
);
