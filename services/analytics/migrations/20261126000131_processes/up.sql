-- How cases went through the process they were first decided with. Kept beside each case, and summed up like the other
-- rollups; all of it can be made anew from event_log.

ALTER TABLE case_facts
    -- As src/domain/process.rs writes it: counts of steps and minutes, and seconds by state.
    ADD COLUMN process         text NOT NULL DEFAULT '',
    -- Empty until the first decision.
    ADD COLUMN process_version text NOT NULL DEFAULT '';

-- Counters per leaf unit × day in Asia/Shanghai × process version × line × item: of the day of the first decision, and of the
-- day of closing. A counter of zero is NULL.
CREATE TABLE process_rollups (
    unit_id         uuid NOT NULL,
    day             date NOT NULL,
    process_version text NOT NULL,
    line            text NOT NULL,
    item_code       text NOT NULL,
    decided                    bigint,
    closed                     bigint,
    steps                      bigint,
    dispatches                 bigint,
    objections                 bigint,
    returns                    bigint,
    supplements                bigint,
    contacts                   bigint,
    due                        bigint,
    on_time                    bigint,
    reworked                   bigint,
    once_resolved              bigint,
    cases_gov_direct           bigint,
    cases_gov_purchased        bigint,
    cases_volunteer            bigint,
    cases_self_governance      bigint,
    cases_market               bigint,
    minuted_gov_direct         bigint,
    minuted_gov_purchased      bigint,
    minuted_volunteer          bigint,
    minuted_self_governance    bigint,
    minuted_market             bigint,
    minutes_gov_direct         bigint,
    minutes_gov_purchased      bigint,
    minutes_volunteer          bigint,
    minutes_self_governance    bigint,
    minutes_market             bigint,
    seconds_registered         bigint,
    seconds_need_supplement    bigint,
    seconds_accepted           bigint,
    seconds_triaged            bigint,
    seconds_offered_to_society bigint,
    seconds_dispatched         bigint,
    seconds_objected           bigint,
    seconds_signed             bigint,
    seconds_in_progress        bigint,
    seconds_suspended          bigint,
    seconds_completed          bigint,
    seconds_verifying          bigint,
    seconds_resolved           bigint,
    PRIMARY KEY (unit_id, day, process_version, line, item_code)
) WITH (fillfactor = 70);
