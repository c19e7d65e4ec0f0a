-- Hot spots that were found (src/domain/hotspot). Findings, not sums: once told they stay as they were told, so a rebuild of
-- the rollups leaves them alone.
CREATE TABLE hotspots (
    hotspot_id         uuid             PRIMARY KEY,
    unit_id            uuid             NOT NULL,
    item_code          text             NOT NULL,
    line               text             NOT NULL,
    active             boolean          NOT NULL,
    -- First day of the excess, and the day from which its own history does not count; another one after a pause.
    start_day          date             NOT NULL,
    since_day          date             NOT NULL,
    -- Last day of the last window that was too much.
    end_day            date             NOT NULL,
    -- Of that window.
    count              bigint           NOT NULL,
    expected           double precision NOT NULL,
    -- Of the window in which it was found.
    p_value            double precision NOT NULL,
    baseline_windows   integer          NOT NULL,
    dispersion         double precision NOT NULL,
    season             double precision NOT NULL,
    definition_version integer          NOT NULL,
    -- Of the last news of it.
    revision           bigint           NOT NULL,
    told_count         bigint           NOT NULL,
    told_day           date             NOT NULL,
    detected_at        timestamptz      NOT NULL,
    -- What case-routing told of its answer; both null until then.
    topic_case_id      uuid,
    dismissed_reason   text
);
CREATE UNIQUE INDEX hotspots_active ON hotspots (unit_id, item_code) WHERE active;
CREATE INDEX hotspots_unit ON hotspots (unit_id, hotspot_id);
CREATE INDEX hotspots_ended ON hotspots (end_day) WHERE NOT active;

-- Days that were looked at, so that each is looked at once by itself.
CREATE TABLE hotspot_runs (
    day                date        NOT NULL,
    definition_version integer     NOT NULL,
    tested             integer     NOT NULL,
    rejected           integer     NOT NULL,
    ran_at             timestamptz NOT NULL,
    PRIMARY KEY (day, definition_version)
);
