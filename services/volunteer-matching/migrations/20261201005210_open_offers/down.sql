DROP INDEX offers_org_open;
