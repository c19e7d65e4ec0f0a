-- Who set the password of somebody else anew: with it that person can act as the other, so the two are one approver.
ALTER TABLE accounts ADD COLUMN password_set_by uuid;
