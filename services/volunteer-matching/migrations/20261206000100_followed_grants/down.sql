DROP TRIGGER follow_volunteer_grant ON volunteers;
DROP FUNCTION follow_volunteer_grant();
