-- Money and posts that transfers of duties ask for (C-12), and the fund lines that money is allotted against.
CREATE TABLE fund_lines (
    fund_line_id uuid PRIMARY KEY,
    code         text   NOT NULL CONSTRAINT fund_lines_code UNIQUE,
    org_id       uuid   NOT NULL,
    budget_fen   bigint NOT NULL CHECK (budget_fen > 0),
    -- Never overspent, whatever the program does.
    allotted_fen bigint NOT NULL CHECK (allotted_fen BETWEEN 0 AND budget_fen)
);

CREATE TABLE duty_demands (
    duty_transfer_id uuid PRIMARY KEY,
    from_org_id      uuid        NOT NULL,
    to_org_id        uuid        NOT NULL,
    line             text,
    fund_fen         bigint      NOT NULL CHECK (fund_fen > 0),
    -- Kinds of posts, and how many of each.
    need_kinds       smallint[]  NOT NULL,
    need_counts      integer[]   NOT NULL,
    deadline         timestamptz NOT NULL,
    -- 1 asked, 2 met, 3 refused, 4 returned
    funds            smallint    NOT NULL CHECK (funds BETWEEN 1 AND 4),
    fund_line_id     uuid        REFERENCES fund_lines,
    staff            smallint    NOT NULL CHECK (staff BETWEEN 1 AND 4),
    post_ids         uuid[]      NOT NULL,
    -- The transfer took effect; it is over.
    effective        boolean     NOT NULL,
    closed           boolean     NOT NULL,
    version          bigint      NOT NULL
);

-- Which posts do the work of which transfer: one at a time.
CREATE TABLE duty_posts (
    post_id          uuid NOT NULL REFERENCES posts (post_id),
    duty_transfer_id uuid NOT NULL REFERENCES duty_demands,
    CONSTRAINT duty_posts_once PRIMARY KEY (post_id)
);
CREATE INDEX duty_posts_transfer ON duty_posts (duty_transfer_id);
