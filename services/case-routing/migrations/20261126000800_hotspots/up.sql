-- Hot spots that analytics found, and how somebody answered them. Small: some a day in a district.
CREATE TABLE hotspots (
    hotspot_id         uuid             PRIMARY KEY,
    unit_id            uuid             NOT NULL,
    -- Root → the unit, as it was when it was noted.
    place_path         uuid[]           NOT NULL,
    item_code          text             NOT NULL,
    line               text             NOT NULL,
    start_date         date             NOT NULL,
    end_date           date             NOT NULL,
    count              bigint           NOT NULL,
    expected           double precision NOT NULL,
    p_value            double precision NOT NULL,
    definition_version integer          NOT NULL,
    ended              boolean          NOT NULL,
    answer             text             NOT NULL CHECK (answer IN ('open', 'topic', 'dismissed')),
    topic_case_id      uuid,
    reason_code        text,
    linked_count       integer          NOT NULL,
    answered_by        text,
    answered_org_id    uuid,
    answered_at        timestamptz,
    noted_at           timestamptz      NOT NULL,
    CHECK ((answer = 'topic') = (topic_case_id IS NOT NULL)),
    CHECK ((answer = 'dismissed') = (reason_code IS NOT NULL))
);
CREATE UNIQUE INDEX hotspots_topic ON hotspots (topic_case_id) WHERE topic_case_id IS NOT NULL;
