-- What was offered or is in hand, of an organisation and of a person, among all that they ever had.
CREATE INDEX assignments_org_in_hand ON assignments (org_id, assignment_id DESC) WHERE state IN (1, 2, 3, 4);
CREATE INDEX assignments_person_in_hand ON assignments (person_id, assignment_id DESC) WHERE state IN (1, 2, 3, 4);
