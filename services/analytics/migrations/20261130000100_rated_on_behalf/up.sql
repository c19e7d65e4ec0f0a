-- I-21 counts what requesters rate in person: cases that were rated, but only by what officials wrote down. Ratings that came before
-- this was told count as in person.
ALTER TABLE case_facts ADD COLUMN rated_on_behalf_only boolean NOT NULL DEFAULT false;
