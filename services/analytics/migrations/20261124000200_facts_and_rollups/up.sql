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

-- Counters per leaf unit × line × day in Asia/Shanghai × item. Line and item '*' hold all of the unit and day.
CREATE TABLE rollups (
    unit_id   uuid NOT NULL,
    line      text NOT NULL,
    day       date NOT NULL,
    item_code text NOT NULL,
    registered              integer NOT NULL DEFAULT 0,
    registered_closed       integer NOT NULL DEFAULT 0,
    intake_in_time          integer NOT NULL DEFAULT 0,
    accepted                integer NOT NULL DEFAULT 0,
    repeated                integer NOT NULL DEFAULT 0,
    registered_above        integer NOT NULL DEFAULT 0,
    registered_field        integer NOT NULL DEFAULT 0,
    field_patrol            integer NOT NULL DEFAULT 0,
    field_solved            integer NOT NULL DEFAULT 0,
    routed                  integer NOT NULL DEFAULT 0,
    routed_in_time          integer NOT NULL DEFAULT 0,
    due                     integer NOT NULL DEFAULT 0,
    due_deferred            integer NOT NULL DEFAULT 0,
    due_verified            integer NOT NULL DEFAULT 0,
    due_on_time             integer NOT NULL DEFAULT 0,
    due_extended            integer NOT NULL DEFAULT 0,
    due_supervised          integer NOT NULL DEFAULT 0,
    supervisions            integer NOT NULL DEFAULT 0,
    supervisions_in_time    integer NOT NULL DEFAULT 0,
    overdue_in              integer NOT NULL DEFAULT 0,
    overdue_out             integer NOT NULL DEFAULT 0,
    overdue_in_days         bigint  NOT NULL DEFAULT 0,
    overdue_out_days        bigint  NOT NULL DEFAULT 0,
    closed                  integer NOT NULL DEFAULT 0,
    closed_dispatched       integer NOT NULL DEFAULT 0,
    closed_first_lead       integer NOT NULL DEFAULT 0,
    closed_lead_changes     integer NOT NULL DEFAULT 0,
    closed_rated            integer NOT NULL DEFAULT 0,
    mode_gov_direct         integer NOT NULL DEFAULT 0,
    mode_gov_purchased      integer NOT NULL DEFAULT 0,
    mode_volunteer          integer NOT NULL DEFAULT 0,
    mode_self_governance    integer NOT NULL DEFAULT 0,
    mode_market             integer NOT NULL DEFAULT 0,
    ended_resolved          integer NOT NULL DEFAULT 0,
    ended_partly_resolved   integer NOT NULL DEFAULT 0,
    ended_explained         integer NOT NULL DEFAULT 0,
    ended_unfounded         integer NOT NULL DEFAULT 0,
    ended_beyond_authority  integer NOT NULL DEFAULT 0,
    ended_self_governed     integer NOT NULL DEFAULT 0,
    ended_mediated          integer NOT NULL DEFAULT 0,
    ended_withdrawn         integer NOT NULL DEFAULT 0,
    ended_merged            integer NOT NULL DEFAULT 0,
    ended_declined          integer NOT NULL DEFAULT 0,
    ended_handed_off        integer NOT NULL DEFAULT 0,
    first_closed            integer NOT NULL DEFAULT 0,
    once_resolved           integer NOT NULL DEFAULT 0,
    callback_due            integer NOT NULL DEFAULT 0,
    callback_unreached      integer NOT NULL DEFAULT 0,
    callback_valid          integer NOT NULL DEFAULT 0,
    callback_contacted      integer NOT NULL DEFAULT 0,
    callback_resolvable     integer NOT NULL DEFAULT 0,
    callback_resolved       integer NOT NULL DEFAULT 0,
    callback_partly         integer NOT NULL DEFAULT 0,
    callback_graded         integer NOT NULL DEFAULT 0,
    callback_grades         integer NOT NULL DEFAULT 0,
    callback_satisfied      integer NOT NULL DEFAULT 0,
    callback_well_satisfied integer NOT NULL DEFAULT 0,
    rated                   integer NOT NULL DEFAULT 0,
    rated_good              integer NOT NULL DEFAULT 0,
    rated_bad               integer NOT NULL DEFAULT 0,
    bad_valid               integer NOT NULL DEFAULT 0,
    bad_rectified           integer NOT NULL DEFAULT 0,
    bad_called_back         integer NOT NULL DEFAULT 0,
    tasks_issued            integer NOT NULL DEFAULT 0,
    tasks_signed_in_time    integer NOT NULL DEFAULT 0,
    tasks_objected          integer NOT NULL DEFAULT 0,
    tasks_ruled             integer NOT NULL DEFAULT 0,
    tasks_upheld            integer NOT NULL DEFAULT 0,
    whistles                integer NOT NULL DEFAULT 0,
    whistles_reported       integer NOT NULL DEFAULT 0,
    whistles_appraised      integer NOT NULL DEFAULT 0,
    whistles_solved         integer NOT NULL DEFAULT 0,
    whistles_weighed        integer NOT NULL DEFAULT 0,
    whistles_needed         integer NOT NULL DEFAULT 0,
    tasks_submitted         integer NOT NULL DEFAULT 0,
    tasks_returned          integer NOT NULL DEFAULT 0,
    disputes_opened         integer NOT NULL DEFAULT 0,
    disputes_settled        integer NOT NULL DEFAULT 0,
    disputes_settled_within integer NOT NULL DEFAULT 0,
    agreements_due          integer NOT NULL DEFAULT 0,
    agreements_performed    integer NOT NULL DEFAULT 0,
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
