DROP TABLE benefit_rechecks;
DROP TABLE benefits;
