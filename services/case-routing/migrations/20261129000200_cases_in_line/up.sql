-- A row of `cases` is always longer than its toast_tuple_target, and PostgreSQL moves whatever it may out of line before it
-- compresses `doc`: path and number went to a table of their own, with an index, by every insert, and the path by every
-- update. The path is not worth compressing. Rows that are there keep theirs until they are written again.
ALTER TABLE cases
    ALTER COLUMN place_path SET STORAGE PLAIN,
    ALTER COLUMN case_no SET STORAGE MAIN,
    ALTER COLUMN state SET STORAGE MAIN,
    ALTER COLUMN line SET STORAGE MAIN,
    ALTER COLUMN item_code SET STORAGE MAIN,
    ALTER COLUMN delivery_mode SET STORAGE MAIN,
    ALTER COLUMN closed_code SET STORAGE MAIN;
