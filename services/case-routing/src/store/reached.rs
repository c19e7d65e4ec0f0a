//! Who reaches a case, as the lists ask it row by row.

/// Whether the caller knows of case `c`: what [`crate::reach::reaches`] says of one case. Its parameters are those of a
/// [`ReachFilter`](super::list::ReachFilter), in their order. Who is asked for something without having a task stands in the agenda
/// with the case.
macro_rules! reached {
    ($all:literal, $requester:literal, $units:literal, $lines:literal, $orgs:literal) => {
        concat!(
            "(",
            $all,
            " OR c.requester_id = ",
            $requester,
            " OR c.first_receiver_org_id = ANY (",
            $orgs,
            ") OR EXISTS (SELECT 1 FROM unnest(",
            $units,
            ", ",
            $lines,
            ") AS s (unit, line) WHERE s.unit = ANY (c.place_path) AND (s.line IS NULL OR s.line = c.line)) \
             OR EXISTS (SELECT 1 FROM tasks r WHERE r.org_id = ANY (",
            $orgs,
            ") AND r.case_id = c.case_id) \
             OR EXISTS (SELECT 1 FROM agenda a WHERE a.case_id = c.case_id AND a.asked_org_ids <> '{}' \
             AND a.asked_org_ids && ",
            $orgs,
            "))"
        )
    };
}
pub(super) use reached;
