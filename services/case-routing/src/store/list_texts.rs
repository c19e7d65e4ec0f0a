//! The texts of lists of cases: a few per index that can drive one. What the index does not decide is filtered row by row,
//! reach included. All have the same parameters, bound by [`super::list`]. Of an index that holds a whole history a page looks through
//! so much and no more (20,000 cases), because nothing says how rare what is asked for is.
//! Who is asked for something without having a task stands in the agenda with the case, and by organisation in `asked`.

use super::reached::reached;

macro_rules! list {
    ($from:expr, $where:expr, $after:literal, $order:expr) => {
        concat!(
            "SELECT c.case_id, c.version, c.updated_at, c.running_due_at, CASE WHEN $24 THEN c.doc END AS doc, \
             false AS looked FROM ",
            $from,
            " WHERE ",
            $where,
            " AND ",
            $after,
            " AND c.case_id BETWEEN $18 AND $19 AND (cardinality($3) = 0 OR c.state = ANY ($3)) \
             AND NOT ($20 AND c.running_due_at IS NOT NULL) AND (cardinality($21) = 0 OR c.street_id = ANY ($21)) \
             AND (cardinality($4) = 0 OR c.place_path && $4) AND ($5 IS NULL OR c.item_code = $5) \
             AND ($6 IS NULL OR (c.open AND c.running_due_at < $6)) \
             AND ($7 IS NULL OR c.registered_at >= $7) AND ($8 IS NULL OR c.registered_at < $8) \
             AND ($15 IS NULL OR EXISTS (SELECT 1 FROM tasks o WHERE o.org_id = $15 AND o.case_id = c.case_id) \
             OR EXISTS (SELECT 1 FROM agenda a WHERE a.case_id = c.case_id AND a.asked_org_ids <> '{}' \
             AND $15 = ANY (a.asked_org_ids))) \
             AND (cardinality($17) = 0 OR EXISTS \
             (SELECT 1 FROM case_words w WHERE w.case_id = c.case_id AND w.pairs @> $17)) AND ",
            reached!("$10", "$11", "$12", "$13", "$14"),
            " ORDER BY ",
            $order,
            " LIMIT $2"
        )
    };
}

/// So much of an index, looked through and no more, in the order of `$key`: what it has first, and the id of the case.
macro_rules! looked_through {
    ($from:expr, $where:expr, $key:literal, $beyond:literal, $way:literal, $most:literal) => {
        list!(
            concat!(
                "(SELECT c.*, ",
                $key,
                " AS held FROM ",
                $from,
                " WHERE ",
                $where,
                " AND ",
                $key,
                $beyond,
                "$1 AND ",
                $key,
                " BETWEEN $18 AND $19 ORDER BY ",
                $key,
                $way,
                " LIMIT ",
                $most,
                ") c"
            ),
            "true",
            "$16 IS NOT NULL",
            concat!("c.held", $way)
        )
    };
}

/// The newest of an index, looked through for words before the index of words is asked: a common word fills a page soon.
macro_rules! newest {
    ($from:expr, $where:expr, $key:literal) => {
        looked_through!($from, $where, $key, " < ", " DESC", 1000)
    };
}

/// What the next 20,000 cases of an index hold, and behind that, where it does not fill the page and there are more, the last that was
/// looked at: the 20,000th of `$ids`. The server reads the parts of a UNION ALL in turn, and the second only where the first leaves
/// room.
macro_rules! bounded {
    (
        ($from:expr, $where:expr, $key:literal),
        ($ids:expr, $of:expr, $id:literal),
        $beyond:literal,
        $way:literal
    ) => {
        concat!(
            "(",
            looked_through!($from, $where, $key, $beyond, $way, 20000),
            ") UNION ALL (SELECT l.held, 0::bigint, 'epoch'::timestamptz, NULL::timestamptz, NULL::text, true \
             FROM (SELECT ",
            $id,
            " AS held FROM ",
            $ids,
            " WHERE ",
            $of,
            " AND ",
            $id,
            $beyond,
            "$1 AND ",
            $id,
            " BETWEEN $18 AND $19 ORDER BY ",
            $id,
            $way,
            " OFFSET 19999 LIMIT 1) l) LIMIT $2"
        )
    };
}

/// Which of the texts of an index looks through the newest; those before are by [`Order`].
pub const LOOK_THROUGH: usize = 2;

/// The texts of an index of which nobody has much.
macro_rules! ordered {
    ($from:expr, $where:expr) => {
        [
            list!($from, $where, "c.case_id < $1 AND $16 IS NOT NULL", "c.case_id DESC"),
            list!($from, $where, "c.case_id > $1 AND $16 IS NOT NULL", "c.case_id"),
            newest!($from, $where, "c.case_id"),
        ]
    };
}

/// The texts of an index that holds a whole history.
macro_rules! history {
    ($from:expr, $where:expr) => {
        [
            bounded!(($from, $where, "c.case_id"), ($from, $where, "c.case_id"), " < ", " DESC"),
            bounded!(($from, $where, "c.case_id"), ($from, $where, "c.case_id"), " > ", ""),
            newest!($from, $where, "c.case_id"),
        ]
    };
}

/// The ids that a table apart from the cases has, in their order.
macro_rules! ids {
    ($select:literal, $table:literal, $where:literal, $beyond:literal, $way:literal) => {
        concat!(
            "(",
            $select,
            " case_id AS held FROM ",
            $table,
            " WHERE ",
            $where,
            " AND case_id",
            $beyond,
            "$1 AND case_id BETWEEN $18 AND $19 ORDER BY case_id",
            $way,
            ") t "
        )
    };
}

/// The texts of such a table that holds a whole history, with how its ids lead to the cases. Where the piece ends the ids say alone.
macro_rules! apart {
    ($select:literal, $table:literal, $where:literal, $cases:literal, $key:literal) => {
        [
            bounded!(
                (concat!(ids!($select, $table, $where, " < ", " DESC"), $cases), "true", $key),
                (ids!($select, $table, $where, " < ", " DESC"), "true", "t.held"),
                " < ",
                " DESC"
            ),
            bounded!(
                (concat!(ids!($select, $table, $where, " > ", ""), $cases), "true", $key),
                (ids!($select, $table, $where, " > ", ""), "true", "t.held"),
                " > ",
                ""
            ),
            newest!(concat!(ids!($select, $table, $where, " < ", " DESC"), $cases), "true", $key),
        ]
    };
}

/// Newest and oldest first, and [`LOOK_THROUGH`].
pub type Texts = [&'static str; 3];

pub const BY_REQUESTER: Texts = ordered!("cases c", "c.requester_id = $9::uuid");
/// The cases of an organisation in a table that has it first and the case next, maybe several times.
macro_rules! of_org {
    ($table:literal) => {
        apart!(
            "SELECT DISTINCT ON (case_id)",
            $table,
            "org_id = $9::uuid",
            "JOIN cases c ON c.case_id = t.held",
            "c.case_id"
        )
    };
}
pub const BY_ORG: Texts = of_org!("tasks");
/// Cases that ask an organisation for something without its having a task.
pub const BY_ASKED: Texts = of_org!("asked");
/// The archived cases, which are the oldest. `OFFSET 0` has each looked up by itself: merged with all cases in their order, years of
/// others would be read first.
macro_rules! archived {
    ($where:literal) => {
        apart!(
            "SELECT",
            "archived",
            $where,
            "CROSS JOIN LATERAL (SELECT * FROM cases WHERE cases.case_id = t.held OFFSET 0) c",
            "t.held"
        )
    };
}
pub const ARCHIVED: Texts = archived!("$9 IS NULL");
pub const ARCHIVED_OF_STREET: Texts = archived!("street_id = $9::uuid");
pub const ARCHIVED_OF_LINE: Texts = archived!("line = $9");
pub const BY_RECEIVER: Texts = history!("cases c", "c.first_receiver_org_id = $9::uuid");
pub const BY_STREET: Texts = history!("cases c", "c.street_id = $9::uuid");
pub const BY_LINE: Texts = history!("cases c", "c.line = $9");
pub const BY_ITEM: Texts = history!("cases c", "c.item_code = $9");
pub const BY_WORDS: Texts = ordered!("cases c", "c.case_id = ANY ($9::uuid[])");
pub const ALL: Texts = history!("cases c", "$9 IS NULL");

/// What the agenda says itself of its cases, asked before they are looked at: never less than the case then says.
macro_rules! agenda {
    ($where:literal) => {
        concat!(
            $where,
            " AND (cardinality($3) = 0 OR t.state = ANY ($3)) AND (cardinality($21) = 0 OR t.street_id = ANY ($21)) \
             AND ($15 IS NULL OR $15 = ANY (t.org_ids)) \
             AND ($22 OR t.street_id = ANY ($23) OR t.org_ids && $14 OR t.requester_id = $11)"
        )
    };
}
pub const OPEN: Texts = [
    list!(
        "agenda t JOIN cases c ON c.case_id = t.case_id",
        agenda!("t.open AND $9 IS NULL"),
        "t.case_id < $1 AND $16 IS NOT NULL",
        "t.case_id DESC"
    ),
    list!(
        "agenda t JOIN cases c ON c.case_id = t.case_id",
        agenda!("t.open AND $9 IS NULL"),
        "t.case_id > $1 AND $16 IS NOT NULL",
        "t.case_id"
    ),
    newest!("agenda t JOIN cases c ON c.case_id = t.case_id", agenda!("t.open AND $9 IS NULL"), "c.case_id"),
];

/// The cases whose clock runs, by when they are due: due first, and due last.
macro_rules! running {
    ($from:literal, $where:expr) => {
        [
            list!($from, $where, "(t.running_due_at, t.case_id) > ($16, $1)", "t.running_due_at, t.case_id"),
            list!(
                $from,
                $where,
                "(t.running_due_at, t.case_id) < ($16, $1)",
                "t.running_due_at DESC, t.case_id DESC"
            ),
        ]
    };
}

/// As `of_org!`, of a table that notes by when the running clock of the case is due.
macro_rules! running_of_org {
    ($table:literal) => {
        [
            list!(
                concat!(
                    "(SELECT DISTINCT ON (running_due_at, case_id) running_due_at, case_id FROM ",
                    $table,
                    " WHERE org_id = $9::uuid AND running_due_at IS NOT NULL AND (running_due_at, case_id) > ($16, $1) \
                     ORDER BY running_due_at, case_id) t JOIN cases c ON c.case_id = t.case_id"
                ),
                "true",
                "true",
                "t.running_due_at, t.case_id"
            ),
            list!(
                concat!(
                    "(SELECT DISTINCT ON (running_due_at, case_id) running_due_at, case_id FROM ",
                    $table,
                    " WHERE org_id = $9::uuid AND running_due_at IS NOT NULL AND (running_due_at, case_id) < ($16, $1) \
                     ORDER BY running_due_at DESC, case_id DESC) t JOIN cases c ON c.case_id = t.case_id"
                ),
                "true",
                "true",
                "t.running_due_at DESC, t.case_id DESC"
            ),
        ]
    };
}

// However long the history is, those that run are few, and stand in the agenda in this order; a person's own are few anyway.
pub const RUNNING: [&str; 2] = running!(
    "agenda t JOIN cases c ON c.case_id = t.case_id",
    agenda!("t.running_due_at IS NOT NULL AND $9 IS NULL")
);
// `IS TRUE` keeps the planner from making a join of it: the cases that were found are hashed once, not gone through for each that
// runs.
pub const RUNNING_FOUND: [&str; 2] = running!(
    "agenda t JOIN cases c ON c.case_id = t.case_id",
    agenda!("t.running_due_at IS NOT NULL AND (t.case_id IN (SELECT unnest($9::uuid[]))) IS TRUE")
);
/// Where few were found, they are looked up one by one and put in order, instead of going through all that run. `OFFSET 0` keeps the
/// planner from taking the order from the index nevertheless.
macro_rules! running_few {
    ($after:literal, $order:literal) => {
        list!(
            concat!(
                "(SELECT t.running_due_at, t.case_id FROM (SELECT a.running_due_at, a.case_id FROM unnest($9::uuid[]) AS w (id) \
                 JOIN agenda a ON a.case_id = w.id WHERE a.running_due_at IS NOT NULL OFFSET 0) t ORDER BY ",
                $order,
                ") t JOIN cases c ON c.case_id = t.case_id"
            ),
            "true",
            $after,
            $order
        )
    };
}
pub const RUNNING_FEW_FOUND: [&str; 2] = [
    running_few!("(t.running_due_at, t.case_id) > ($16, $1)", "t.running_due_at, t.case_id"),
    running_few!("(t.running_due_at, t.case_id) < ($16, $1)", "t.running_due_at DESC, t.case_id DESC"),
];
/// Of an organisation that takes part in few of them: whatever runs elsewhere is not looked at.
pub const RUNNING_OF_ORG: [&str; 2] = running_of_org!("tasks");
/// Those that ask an organisation for something without its having a task.
pub const RUNNING_OF_ASKED: [&str; 2] = running_of_org!("asked");
pub const RUNNING_OF_REQUESTER: [&str; 2] = running!(
    "cases c JOIN cases t ON t.case_id = c.case_id",
    "c.requester_id = $9::uuid AND c.running_due_at IS NOT NULL"
);
