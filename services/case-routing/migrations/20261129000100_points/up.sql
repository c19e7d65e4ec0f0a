-- Where cases are, of those alone whose point somebody said: a point can be a home, so it stands here and in the case, and
-- nowhere else. By the cell, a few hundred metres wide, is found what lies near; newest first, for ids are made of the time.
CREATE TABLE case_points (
    case_id uuid    PRIMARY KEY,
    cell    bigint  NOT NULL,
    -- WGS 84, in millionths of a degree.
    lon_e6  integer NOT NULL CHECK (lon_e6 BETWEEN -180000000 AND 180000000),
    lat_e6  integer NOT NULL CHECK (lat_e6 BETWEEN -90000000 AND 90000000)
);
CREATE INDEX case_points_cell ON case_points (cell, case_id);
