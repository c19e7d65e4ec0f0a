-- What the events say, one row per case and per task, and their sums. All of it can be made anew from event_log.

CREATE TABLE case_facts (
    case_id                   uuid PRIMARY KEY,
    version                   bigint      NOT NULL,
    state                     smallint    NOT NULL,
    state_since               timestamptz NOT NULL,
    place_unit_id             uuid,
    item_code                 text        NOT NULL,
    line                      text        NOT NULL,
    delivery_mode             smallint    NOT NULL,
    closed_code               smallint    NOT NULL,
    origin                    smallint    NOT NULL,
    nature                    smallint    NOT NULL,
    solved_on_spot            boolean     NOT NULL,
    repeats                   boolean     NOT NULL,
    registered_at             timestamptz NOT NULL,
    accepted_at               timestamptz,
    intake_in_time            boolean,
    routed_at                 timestamptz,
    routed_in_time            boolean     NOT NULL,
    dispatched                boolean     NOT NULL,
    contact_in_time           boolean,
    due_at                    timestamptz,
    due_before_pause_at       timestamptz,
    open_due_at               timestamptz,
    completed_at              timestamptz,
    elapsed_seconds           bigint,
    elapsed_unit              smallint    NOT NULL,
    callback_due              boolean     NOT NULL,
    callback                  smallint    NOT NULL,
    callback_grade            smallint    NOT NULL,
    callback_resolution       smallint    NOT NULL,
    contact_confirmed         boolean     NOT NULL,
    closed_at                 timestamptz,
    ended_at                  timestamptz,
    first_closed_at           timestamptz,
    once_resolved             boolean     NOT NULL,
    rework_count              integer     NOT NULL,
    lead_change_count         integer     NOT NULL,
    extension_count           integer     NOT NULL,
    supervision_count         integer     NOT NULL,
    supervision_in_time_count integer     NOT NULL,
    good_rated_at             timestamptz,
    bad_rated_at              timestamptz,
    bad_valid                 boolean,
    bad_rectified             boolean,
    bad_called_back           boolean     NOT NULL
) WITH (fillfactor = 70);
-- The due times that can still be missed: the hour in hand is counted exactly, so this is read for one hour only.
CREATE INDEX case_facts_open_due_at_idx ON case_facts (open_due_at) WHERE open_due_at IS NOT NULL;

CREATE TABLE task_facts (
    task_id        uuid PRIMARY KEY,
    case_id        uuid        NOT NULL,
    version        bigint      NOT NULL,
    place_unit_id  uuid,
    item_code      text        NOT NULL,
    line           text        NOT NULL,
    issued_at      timestamptz,
    sign_due       boolean     NOT NULL,
    signed_in_time boolean,
    objected       boolean     NOT NULL,
    upheld         boolean,
    submitted_at   timestamptz,
    returned       boolean     NOT NULL,
    whistle          boolean   NOT NULL,
    reported_in_time boolean,
    solved           boolean,
    needed           boolean
) WITH (fillfactor = 80);

CREATE TABLE mediation_facts (
    mediation_id       uuid PRIMARY KEY,
    case_id            uuid        NOT NULL,
    version            bigint      NOT NULL,
    place_unit_id      uuid,
    item_code          text        NOT NULL,
    line               text        NOT NULL,
    opened_at          timestamptz,
    agreed             boolean     NOT NULL,
    within_community   boolean     NOT NULL,
    performance_due_at timestamptz,
    performed          boolean     NOT NULL
) WITH (fillfactor = 80);

-- Counters per leaf unit × line × day in Asia/Shanghai × item. Line and item '*' hold all of the unit and day. A counter of zero is
-- NULL: most are, and a row is a fifth as long for it.
CREATE TABLE rollups (
    unit_id   uuid NOT NULL,
    line      text NOT NULL,
    day       date NOT NULL,
    item_code text NOT NULL,
    registered              integer,
    registered_closed       integer,
    registered_ended        integer,
    intake_in_time          integer,
    accepted                integer,
    repeated                integer,
    registered_above        integer,
    registered_field        integer,
    field_patrol            integer,
    field_solved            integer,
    routed                  integer,
    routed_in_time          integer,
    due                     integer,
    due_deferred            integer,
    due_verified            integer,
    due_on_time             integer,
    due_extended            integer,
    due_supervised          integer,
    supervisions            integer,
    supervisions_in_time    integer,
    overdue_in              integer,
    overdue_out             integer,
    overdue_in_days         bigint,
    overdue_out_days        bigint,
    closed                  integer,
    closed_dispatched       integer,
    closed_first_lead       integer,
    closed_lead_changes     integer,
    closed_rated            integer,
    mode_gov_direct         integer,
    mode_gov_purchased      integer,
    mode_volunteer          integer,
    mode_self_governance    integer,
    mode_market             integer,
    ended_resolved          integer,
    ended_partly_resolved   integer,
    ended_explained         integer,
    ended_unfounded         integer,
    ended_beyond_authority  integer,
    ended_self_governed     integer,
    ended_mediated          integer,
    ended_withdrawn         integer,
    ended_merged            integer,
    ended_declined          integer,
    ended_handed_off        integer,
    first_closed            integer,
    once_resolved           integer,
    callback_due            integer,
    callback_unreached      integer,
    callback_valid          integer,
    callback_contacted      integer,
    callback_resolvable     integer,
    callback_resolved       integer,
    callback_partly         integer,
    callback_graded         integer,
    callback_grades         integer,
    callback_satisfied      integer,
    callback_well_satisfied integer,
    rated                   integer,
    rated_good              integer,
    rated_bad               integer,
    bad_valid               integer,
    bad_rectified           integer,
    bad_called_back         integer,
    tasks_issued            integer,
    tasks_signed_in_time    integer,
    tasks_objected          integer,
    tasks_ruled             integer,
    tasks_upheld            integer,
    whistles                integer,
    whistles_reported       integer,
    whistles_appraised      integer,
    whistles_solved         integer,
    whistles_weighed        integer,
    whistles_needed         integer,
    tasks_submitted         integer,
    tasks_returned          integer,
    disputes_opened         integer,
    disputes_settled        integer,
    disputes_settled_within integer,
    agreements_due          integer,
    agreements_performed    integer,
    PRIMARY KEY (unit_id, line, day, item_code)
) WITH (fillfactor = 70);

-- Resolve clocks of closed cases, by the same cells, the unit of their limits (LimitUnit) and the bucket of a fixed histogram.
CREATE TABLE duration_rollups (
    unit_id    uuid     NOT NULL,
    line       text     NOT NULL,
    day        date     NOT NULL,
    item_code  text     NOT NULL,
    clock_unit smallint NOT NULL,
    bucket     smallint NOT NULL,
    count      bigint   NOT NULL,
    seconds    bigint   NOT NULL,
    PRIMARY KEY (unit_id, line, day, item_code, clock_unit, bucket)
) WITH (fillfactor = 80);

-- How many cases stand in which state.
CREATE TABLE state_counts (
    unit_id uuid     NOT NULL,
    line    text     NOT NULL,
    state   smallint NOT NULL,
    count   bigint   NOT NULL,
    PRIMARY KEY (unit_id, line, state)
) WITH (fillfactor = 50);

-- How many due times that can still be missed fall in which hour.
CREATE TABLE open_due (
    unit_id uuid        NOT NULL,
    line    text        NOT NULL,
    hour    timestamptz NOT NULL,
    count   bigint      NOT NULL,
    PRIMARY KEY (unit_id, line, hour)
) WITH (fillfactor = 80);

-- Lines under which an item has been seen.
CREATE TABLE items (
    item_code text NOT NULL,
    line      text NOT NULL,
    PRIMARY KEY (item_code, line)
);

-- Where a rebuild makes its tables before they take the place of the ones above.
CREATE SCHEMA rebuild;
