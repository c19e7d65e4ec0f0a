-- The yearly notices that case-routing told of: rest days and make-up working days as YYYY-MM-DD. Only ever appended to;
-- the highest version of a year is in force.
CREATE TABLE calendar_notices (
    title_year integer NOT NULL,
    version    integer NOT NULL,
    off_days   text[]  NOT NULL,
    work_days  text[]  NOT NULL,
    PRIMARY KEY (title_year, version)
);
