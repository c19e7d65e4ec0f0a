-- Mediations of disputes. What is queried stands in columns; the whole aggregate stands in `doc`. Written only while the
-- case's row is locked.
CREATE TABLE mediations (
    mediation_id uuid        PRIMARY KEY,
    case_id      uuid        NOT NULL,
    version      bigint      NOT NULL,
    state        text        NOT NULL,
    -- The parties are still to agree.
    open         boolean     NOT NULL,
    -- The next day by which something has to happen.
    due_at       timestamptz,
    doc          text        COMPRESSION lz4 NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX mediations_case ON mediations (case_id);
CREATE UNIQUE INDEX mediations_one_open ON mediations (case_id) WHERE open;
CREATE INDEX mediations_due ON mediations (due_at, mediation_id) WHERE due_at IS NOT NULL;

-- Names of parties, terms and notes, encrypted; apart from the mediations, shown to their mediators only.
CREATE TABLE mediation_texts (
    text_id      uuid  PRIMARY KEY,
    mediation_id uuid  NOT NULL,
    sealed       bytea NOT NULL
);
CREATE INDEX mediation_texts_mediation ON mediation_texts (mediation_id);
