-- How cases went through the process they were first decided with. Kept beside each case, and summed up like the other
-- rollups; all of it can be made anew from event_log.

ALTER TABLE case_facts
    -- As src/domain/process.rs writes it: counts of steps and minutes, and seconds by state.
    ADD COLUMN process         text NOT NULL DEFAULT '',
    -- Empty until the first decision.
    ADD COLUMN process_version text NOT NULL DEFAULT '';

-- Counters per leaf unit × day in Asia/Shanghai × process version × line × item: of the day of the first decision, and of the
-- day of closing.
CREATE TABLE process_rollups (
    unit_id         uuid NOT NULL,
    day             date NOT NULL,
    process_version text NOT NULL,
    line            text NOT NULL,
    item_code       text NOT NULL,
    decided                    bigint NOT NULL DEFAULT 0,
    closed                     bigint NOT NULL DEFAULT 0,
    steps                      bigint NOT NULL DEFAULT 0,
    dispatches                 bigint NOT NULL DEFAULT 0,
    objections                 bigint NOT NULL DEFAULT 0,
    returns                    bigint NOT NULL DEFAULT 0,
    supplements                bigint NOT NULL DEFAULT 0,
    contacts                   bigint NOT NULL DEFAULT 0,
    due                        bigint NOT NULL DEFAULT 0,
    on_time                    bigint NOT NULL DEFAULT 0,
    reworked                   bigint NOT NULL DEFAULT 0,
    once_resolved              bigint NOT NULL DEFAULT 0,
    cases_gov_direct           bigint NOT NULL DEFAULT 0,
    cases_gov_purchased        bigint NOT NULL DEFAULT 0,
    cases_volunteer            bigint NOT NULL DEFAULT 0,
    cases_self_governance      bigint NOT NULL DEFAULT 0,
    cases_market               bigint NOT NULL DEFAULT 0,
    minuted_gov_direct         bigint NOT NULL DEFAULT 0,
    minuted_gov_purchased      bigint NOT NULL DEFAULT 0,
    minuted_volunteer          bigint NOT NULL DEFAULT 0,
    minuted_self_governance    bigint NOT NULL DEFAULT 0,
    minuted_market             bigint NOT NULL DEFAULT 0,
    minutes_gov_direct         bigint NOT NULL DEFAULT 0,
    minutes_gov_purchased      bigint NOT NULL DEFAULT 0,
    minutes_volunteer          bigint NOT NULL DEFAULT 0,
    minutes_self_governance    bigint NOT NULL DEFAULT 0,
    minutes_market             bigint NOT NULL DEFAULT 0,
    seconds_registered         bigint NOT NULL DEFAULT 0,
    seconds_need_supplement    bigint NOT NULL DEFAULT 0,
    seconds_accepted           bigint NOT NULL DEFAULT 0,
    seconds_triaged            bigint NOT NULL DEFAULT 0,
    seconds_offered_to_society bigint NOT NULL DEFAULT 0,
    seconds_dispatched         bigint NOT NULL DEFAULT 0,
    seconds_objected           bigint NOT NULL DEFAULT 0,
    seconds_signed             bigint NOT NULL DEFAULT 0,
    seconds_in_progress        bigint NOT NULL DEFAULT 0,
    seconds_suspended          bigint NOT NULL DEFAULT 0,
    seconds_completed          bigint NOT NULL DEFAULT 0,
    seconds_verifying          bigint NOT NULL DEFAULT 0,
    seconds_resolved           bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (unit_id, day, process_version, line, item_code)
) WITH (fillfactor = 70);
