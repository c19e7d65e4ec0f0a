-- Volunteers who said no to an offer that they had been named for: none of them is named for it again. In a table of its own:
-- replicas of the build before have statements prepared for whole rows of `offers`, which a new column would make fail.
CREATE TABLE step_backs (
    offer_id     uuid NOT NULL REFERENCES offers,
    volunteer_id uuid NOT NULL REFERENCES volunteers,
    PRIMARY KEY (offer_id, volunteer_id)
);
