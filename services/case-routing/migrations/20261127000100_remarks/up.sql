-- Words that were added to cases: remarks, what is new of a case that is opened again, comments of ratings. Sealed like the
-- original texts, with a redacted copy beside; few cases have any.
CREATE TABLE case_remarks (
    remark_id    uuid        PRIMARY KEY,
    case_id      uuid        NOT NULL,
    -- Of the step of the timeline that they came with.
    case_version bigint      NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('remark', 'reopening', 'rating')),
    actor_ref    text        NOT NULL,
    org_id       uuid,
    at           timestamptz NOT NULL,
    redacted     text        NOT NULL,
    sealed       bytea       NOT NULL
);
CREATE UNIQUE INDEX case_remarks_case ON case_remarks (case_id, case_version);
