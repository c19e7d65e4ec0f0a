-- Cases. What is queried stands in columns; the whole aggregate stands in `doc` (JSON, compressed, never out of line).
-- No index contains a column that most commands change, so most updates are heap-only.
CREATE TABLE cases (
    case_id               uuid        PRIMARY KEY,
    case_no               text        NOT NULL,
    -- Version of the aggregate, and of the last event that told of it.
    version               bigint      NOT NULL,
    told_version          bigint      NOT NULL,
    state                 text        NOT NULL,
    -- Neither closed nor at another end.
    open                  boolean     NOT NULL,
    requester_id          uuid,
    first_receiver_org_id uuid        NOT NULL,
    place_unit_id         uuid        NOT NULL,
    -- Root → leaf.
    place_path            uuid[]      NOT NULL,
    street_id             uuid,
    line                  text,
    item_code             text,
    delivery_mode         text,
    closed_code           text,
    registered_at         timestamptz NOT NULL,
    -- Set while the resolve (or rework) clock runs.
    running_due_at        timestamptz,
    updated_at            timestamptz NOT NULL,
    -- The same requester asked about the same item at the same place shortly before; null until that was asked
    -- (src/store/repeats.rs).
    repeats               boolean,
    doc                   text        COMPRESSION lz4 NOT NULL
) WITH (fillfactor = 60, toast_tuple_target = 512);
ALTER TABLE cases ALTER COLUMN doc SET STORAGE MAIN;
CREATE INDEX cases_requester ON cases (requester_id, case_id) WHERE requester_id IS NOT NULL;
CREATE INDEX cases_street ON cases (street_id, case_id);
CREATE INDEX cases_first_receiver ON cases (first_receiver_org_id, case_id);
CREATE INDEX cases_line ON cases (line, case_id) WHERE line IS NOT NULL;

-- By what a case is found by text: the pairs of neighbouring characters of its redacted copy (src/domain/words.rs). Apart
-- from `cases`, because it is written once, with the text, and again only when the case is somewhere else.
CREATE TABLE case_words (
    case_id uuid      PRIMARY KEY,
    -- The street and the units below it on the way to the place, so that the index itself answers a search in one of them.
    units   uuid[]    NOT NULL,
    pairs   integer[] NOT NULL
);
CREATE INDEX case_words_pairs ON case_words USING gin (units, pairs)
    WITH (fastupdate = on, gin_pending_list_limit = 128);

-- Which organisation holds which task; everything else about a task stands in its case.
CREATE TABLE tasks (
    task_id  uuid        PRIMARY KEY,
    case_id  uuid        NOT NULL,
    org_id   uuid        NOT NULL,
    state    text        NOT NULL,
    -- The organisation still has something to do.
    open     boolean     NOT NULL,
    due_at   timestamptz NOT NULL,
    -- It was signed for once, and staffing was told to find somebody; one is at it now, as staffing told.
    signed   boolean     NOT NULL,
    active   boolean     NOT NULL,
    -- As in `cases`: when the requester's clock is due, while it runs.
    running_due_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX tasks_org_due ON tasks (org_id, open, due_at, task_id);
CREATE INDEX tasks_org_case ON tasks (org_id, case_id);
-- An organisation's running cases, next due first: few, however long its history is.
CREATE INDEX tasks_org_running ON tasks (org_id, running_due_at, case_id) WHERE running_due_at IS NOT NULL;

-- What is to happen with a case by itself, and what it waits for; every open case is here, and of the others only those for
-- which more is to happen than that they are archived. Apart from `cases`, to keep their updates heap-only.
CREATE TABLE agenda (
    case_id uuid        PRIMARY KEY,
    due_at  timestamptz,
    awaits  text        CHECK (awaits IN ('verification', 'judgement')),
    -- Lowest version of the calendar that a running clock was counted with; not indexed, for it is read in one pass when
    -- the calendar changes and written with every change of the row.
    calendar_version integer,
    -- As in `cases`.
    running_due_at timestamptz,
    -- What narrows a list of open cases down before the cases themselves are looked at. The organisations are those with a
    -- task, and the first receiver.
    open         boolean NOT NULL,
    state        text    NOT NULL,
    street_id    uuid,
    requester_id uuid,
    org_ids      uuid[]  NOT NULL
) WITH (fillfactor = 80);
-- Work lists, next due first.
CREATE INDEX agenda_running ON agenda (running_due_at, case_id) WHERE running_due_at IS NOT NULL;
CREATE INDEX agenda_due ON agenda (due_at, case_id) WHERE due_at IS NOT NULL;
CREATE INDEX agenda_awaits ON agenda (awaits, case_id) WHERE awaits IS NOT NULL;

-- Ended cases that are kept until they are archived, for years: apart from the agenda, which stays small.
CREATE TABLE retention (
    case_id    uuid        PRIMARY KEY,
    archive_at timestamptz NOT NULL
);
CREATE INDEX retention_due ON retention (archive_at, case_id);

-- One row per command, its steps as a JSON array.
CREATE TABLE timeline (
    case_id      uuid   NOT NULL,
    -- Of the last step.
    case_version bigint NOT NULL,
    steps        text   NOT NULL,
    PRIMARY KEY (case_id, case_version)
);

CREATE TABLE routing_decisions (
    case_id uuid   NOT NULL,
    seq     bigint GENERATED ALWAYS AS IDENTITY,
    content text   COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (case_id, seq)
);

-- Every offer of a case over its whole life, as its partner knows it.
CREATE TABLE offers (
    offer_id       uuid PRIMARY KEY,
    case_id        uuid NOT NULL,
    partner_org_id uuid NOT NULL,
    state          text NOT NULL CHECK (state IN ('open', 'confirmed', 'completed', 'withdrawn'))
) WITH (fillfactor = 80);

-- The original texts, encrypted; apart from the cases, shown with purpose only.
CREATE TABLE case_texts (
    case_id uuid  PRIMARY KEY,
    sealed  bytea NOT NULL
);

-- Cases that a client made offline under an id of its own. The key is a keyed index of the person and that id: the
-- person must not stand beside a case that may be anonymous.
CREATE TABLE client_refs (
    client_key bytea NOT NULL,
    case_id    uuid  NOT NULL,
    CONSTRAINT client_refs_once PRIMARY KEY (client_key)
);

-- Who read an original text, when, and for what purpose.
CREATE TABLE access_log (
    access_id uuid        PRIMARY KEY,
    case_id   uuid        NOT NULL,
    person_id uuid        NOT NULL,
    actor_ref text        NOT NULL,
    org_id    uuid,
    purpose   text        NOT NULL,
    at        timestamptz NOT NULL
);
CREATE INDEX access_log_case ON access_log (case_id, at);

-- Numbers are given out in blocks, so that registrations do not wait for each other.
CREATE TABLE case_number_blocks (
    district text    NOT NULL,
    day      date    NOT NULL,
    taken    integer NOT NULL,
    PRIMARY KEY (district, day)
);
