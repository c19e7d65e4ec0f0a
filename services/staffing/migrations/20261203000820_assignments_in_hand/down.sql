DROP INDEX assignments_person_in_hand;
DROP INDEX assignments_org_in_hand;
