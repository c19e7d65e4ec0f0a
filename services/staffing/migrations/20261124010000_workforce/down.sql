DROP TABLE roster_weeks, shifts, workers, posts;
DROP EXTENSION IF EXISTS btree_gist;
