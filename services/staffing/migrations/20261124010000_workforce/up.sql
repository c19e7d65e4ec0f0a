-- Posts, workers and their rosters. Created by the events of identity and by the workforce RPCs.
-- btree_gist is a trusted extension: the owner of the database may create it.
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE posts (
    post_id       uuid PRIMARY KEY,
    post_no       text        NOT NULL UNIQUE,
    kind          smallint    NOT NULL,
    org_id        uuid        NOT NULL,
    unit_id       uuid        NOT NULL,
    line          text,
    -- Code of the template it was made from; empty for one made by hand.
    template      text        NOT NULL DEFAULT '',
    -- planned, open, filled, vacant, abolished
    state         text        NOT NULL,
    daily_minutes integer     NOT NULL CHECK (daily_minutes > 0),
    -- 0: given work by hand only
    max_open      integer     NOT NULL CHECK (max_open >= 0),
    created_at    timestamptz NOT NULL
);
CREATE INDEX posts_org ON posts (org_id, post_id);

CREATE TABLE workers (
    worker_id       uuid PRIMARY KEY,
    person_id       uuid        NOT NULL,
    worker_ref      text        NOT NULL,
    post_id         uuid        NOT NULL REFERENCES posts (post_id),
    -- The grant that made the worker; NULL when appointed by hand.
    grant_id        uuid UNIQUE,
    kind            smallint    NOT NULL,
    org_id          uuid        NOT NULL,
    unit_id         uuid        NOT NULL,
    line            text,
    area_unit_id    uuid        NOT NULL,
    skills          text[]      NOT NULL,
    auto_accept     boolean     NOT NULL,
    daily_minutes   integer     NOT NULL,
    max_open        integer     NOT NULL,
    -- Which shift templates apply: community, street, department; empty for none.
    roster          text        NOT NULL,
    active          boolean     NOT NULL,
    appointed_at    timestamptz NOT NULL,
    ended_at        timestamptz,
    -- Load: assignments offered, accepted or on site, and the sum of their weights.
    open_count      integer     NOT NULL DEFAULT 0,
    open_minutes    bigint      NOT NULL DEFAULT 0,
    last_offered_at timestamptz
) WITH (fillfactor = 70);
-- S-1: one holder per single-seat post.
CREATE UNIQUE INDEX workers_seat ON workers (post_id) WHERE active;
CREATE INDEX workers_org ON workers (org_id) WHERE active;
CREATE INDEX workers_person ON workers (person_id);

CREATE TABLE shifts (
    shift_id  uuid PRIMARY KEY,
    worker_id uuid        NOT NULL REFERENCES workers (worker_id),
    person_id uuid        NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL,
    -- Code of the shift template; empty when rostered by hand.
    template  text        NOT NULL,
    cancelled boolean     NOT NULL DEFAULT false,
    CHECK (starts_at < ends_at AND ends_at <= starts_at + interval '24 hours'),
    -- S-1: the posts of one person never overlap in rostered time.
    CONSTRAINT shifts_no_overlap EXCLUDE USING gist (person_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (NOT cancelled)
);
CREATE INDEX shifts_worker ON shifts (worker_id, starts_at);
CREATE INDEX shifts_start ON shifts (starts_at, shift_id);

-- Weeks (Mondays) for which a worker's shifts were made from the templates.
CREATE TABLE roster_weeks (
    worker_id uuid NOT NULL REFERENCES workers (worker_id),
    week      date NOT NULL,
    PRIMARY KEY (worker_id, week)
);
