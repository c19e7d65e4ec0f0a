//! The crew of a task: as many workers as it wants, each of them another person. Whoever has the task in hand holds one of
//! its slots, 1 up to as many as are wanted, until their assignment ends; then another worker gets that slot. Pure.

use super::{Assignment, AssignmentState, Candidate, Need, PersonId, Ranked, WorkerId, picker::rank};

/// Why an assignment ended whose result was sent back.
pub const RETURNED: &str = "task_returned";
/// Why the assignment of somebody ended who left.
pub const LEFT: &str = "worker_left";
/// Why an assignment ended whose worker made way for somebody else.
pub const REASSIGNED: &str = "reassigned";

/// How many workers still have to be asked.
pub fn missing(wanted: usize, held: &[&Assignment]) -> usize {
    wanted.saturating_sub(held.len())
}

/// The first slot that nobody holds.
pub fn free_slot(held: &[&Assignment]) -> i16 {
    (1..i16::MAX).find(|slot| held.iter().all(|held| held.slot != *slot)).unwrap_or(i16::MAX)
}

/// Whose part ends when a head picks somebody else though nobody is missing: of the last who were asked one who has not said
/// yes, else one who has; nobody who is at work.
pub fn to_replace<'a>(held: &[&'a Assignment]) -> Option<&'a Assignment> {
    use AssignmentState::{Accepted, Offered};
    let open = held.iter().filter(|a| matches!(a.state, Offered | Accepted));
    open.max_by_key(|a| (a.state == Offered, a.id)).copied()
}

/// The best so many of those who may be asked, each of them another person.
pub fn pick<'a>(
    need: &Need<'_>,
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    count: usize,
) -> Vec<Ranked> {
    let mut picked: Vec<Ranked> = Vec::new();
    for ranked in rank(need, candidates) {
        if picked.len() == count {
            break;
        }
        if picked.iter().all(|known| known.person_id != ranked.person_id) {
            picked.push(ranked);
        }
    }
    picked
}

/// Whether a head may give the task to somebody more.
pub fn has_room(wanted: usize, held: &[&Assignment]) -> bool {
    missing(wanted, held) > 0 || to_replace(held).is_some()
}

/// What a task's history says of those who may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Who declined, did not answer, left or made way in this round, whatever post they were asked through. Whose part ended
    /// with the task's may be asked again.
    pub tried: Vec<PersonId>,
    /// Who has it in hand: nobody is asked twice at a time, whatever posts they hold.
    pub with: Vec<PersonId>,
    /// Who worked on it last, as many as are wanted.
    pub before: Vec<WorkerId>,
}

impl Known {
    /// By all assignments of the task, oldest first.
    pub fn of(history: &[&Assignment], round: i32, wanted: usize) -> Self {
        let tried = history.iter().filter(|a| a.round == round && is_out(a));
        let mut before: Vec<WorkerId> = Vec::new();
        for worked in history.iter().rev().filter(|a| a.accepted_at.is_some()) {
            if before.len() < wanted && !before.contains(&worked.worker_id) {
                before.push(worked.worker_id);
            }
        }
        Self {
            tried: tried.map(|a| a.person_id).collect(),
            with: history.iter().filter(|a| a.state.is_active()).map(|a| a.person_id).collect(),
            before,
        }
    }
}

/// Whether somebody's part ended by what they or their head did, not with the task's.
fn is_out(assignment: &Assignment) -> bool {
    use AssignmentState::{Cancelled, Declined, TimedOut};
    match assignment.state {
        Declined | TimedOut => true,
        Cancelled => [LEFT, REASSIGNED].contains(&assignment.end_reason.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{AssignmentId, OrgId, Worker, testing};

    /// The n-th assignment of a task, of the n-th worker.
    fn assignment(n: u128, state: AssignmentState) -> Assignment {
        Assignment {
            id: AssignmentId(Uuid::from_u128(n)),
            worker_id: worker(n),
            person_id: PersonId(Uuid::from_u128(100 + n)),
            slot: i16::try_from(n).unwrap(),
            state,
            ..testing::assignment()
        }
    }

    fn worker(n: u128) -> WorkerId {
        WorkerId(Uuid::from_u128(n))
    }

    #[test]
    fn as_many_are_missing_as_have_no_slot_and_the_first_free_one_is_next() {
        let (one, three) = (assignment(1, AssignmentState::Done), assignment(3, AssignmentState::Offered));
        assert_eq!((missing(1, &[]), free_slot(&[])), (1, 1));
        assert_eq!((missing(1, &[&one]), free_slot(&[&one])), (0, 2));
        assert_eq!((missing(3, &[&one, &three]), free_slot(&[&one, &three])), (1, 2));
        assert_eq!(missing(1, &[&one, &three]), 0, "never fewer than none");
    }

    #[test]
    fn a_head_takes_a_free_slot_else_that_of_the_last_who_has_not_begun() {
        use AssignmentState::{Accepted, Done, Offered, OnSite};
        let held = [Offered, Offered, Accepted, OnSite, Done].map(|state| assignment(1, state));
        let [first, mut second, mut accepted, on_site, done] = held;
        (second.id, accepted.id) = (AssignmentId(Uuid::from_u128(2)), AssignmentId(Uuid::from_u128(3)));
        assert_eq!(to_replace(&[&first, &second, &accepted, &on_site]), Some(&second));
        assert_eq!(to_replace(&[&on_site, &accepted]), Some(&accepted));
        assert_eq!(to_replace(&[&on_site, &done]), None, "who is at work stays");
        assert!(has_room(1, &[&accepted]) && has_room(3, &[&on_site, &done]) && has_room(1, &[]));
        assert!(!has_room(2, &[&on_site, &done]));
    }

    #[test]
    fn who_was_asked_is_not_asked_again_but_for_what_they_did_themselves() {
        use AssignmentState::{Accepted, Cancelled, Confirmed, Declined};
        let done = |n, state| Assignment { accepted_at: Some(testing::now()), ..assignment(n, state) };
        let sent_back = Assignment { end_reason: RETURNED.to_owned(), ..done(1, Cancelled) };
        let (in_hand, declined) = (done(2, Accepted), assignment(3, Declined));
        let of_before = Assignment { round: 0, ..done(4, Confirmed) };
        let history = [&of_before, &sent_back, &in_hand, &declined];
        let known = Known::of(&history, 1, 2);
        assert_eq!(known.tried, [declined.person_id]);
        assert_eq!(known.with, [in_hand.person_id]);
        assert_eq!(known.before, [worker(2), worker(1)], "the last who said yes, as many as are wanted");
        assert_eq!(Known::of(&history, 1, 1).before, [worker(2)]);
        assert!(Known::of(&history, 2, 1).tried.is_empty(), "in a new round everybody may be asked");
    }

    #[test]
    fn whose_part_ended_with_the_tasks_is_asked_again_and_who_left_or_made_way_is_not() {
        use AssignmentState::{Cancelled, Declined, TimedOut};
        let ended =
            |n, reason: &str| Assignment { end_reason: reason.to_owned(), ..assignment(n, Cancelled) };
        let with_the_task = [ended(1, "task_submitted"), ended(2, RETURNED), ended(3, "task_objected")];
        let out = [ended(4, LEFT), ended(5, REASSIGNED), assignment(6, Declined), assignment(7, TimedOut)];
        let history: Vec<&Assignment> = with_the_task.iter().chain(&out).collect();
        let expected: Vec<PersonId> = out.iter().map(|a| a.person_id).collect();
        assert_eq!(Known::of(&history, 1, 1).tried, expected);
    }

    /// Workers of an organisation by id, person and open minutes.
    fn staff(of: &[(u128, u128, i64)]) -> Vec<Worker> {
        let one = |(id, person, open_minutes): &(u128, u128, i64)| Worker {
            id: worker(*id),
            person_id: PersonId(Uuid::from_u128(*person)),
            open_minutes: *open_minutes,
            ..testing::worker()
        };
        of.iter().map(one).collect()
    }

    fn picked(known: &Known, staff: &[Worker], count: usize) -> Vec<WorkerId> {
        let need = Need {
            org_id: OrgId(Uuid::from_u128(4)),
            manages_auxiliaries: true,
            decision: false,
            line: None,
            skills: &[],
            place: &[],
            tried: &known.tried,
            with: &known.with,
            before: &known.before,
        };
        let candidates = staff.iter().map(|worker| Candidate { worker, on_shift: true, area: &[] });
        pick(&need, candidates, count).into_iter().map(|ranked| ranked.worker_id).collect()
    }

    #[test]
    fn the_best_are_picked_each_another_person_and_nobody_who_has_it_already() {
        // The first two are posts of one person.
        let staff = staff(&[(1, 50, 0), (2, 50, 10), (3, 51, 20), (4, 52, 30)]);
        let nobody = Known::default();
        assert_eq!(picked(&nobody, &staff, 1), [worker(1)]);
        assert_eq!(picked(&nobody, &staff, 2), [worker(1), worker(3)]);
        assert_eq!(picked(&nobody, &staff, 5), [worker(1), worker(3), worker(4)], "as many as there are");
        assert!(picked(&nobody, &staff, 0).is_empty());
        let with = Known { with: vec![PersonId(Uuid::from_u128(50))], ..Known::default() };
        assert_eq!(picked(&with, &staff, 1), [worker(3)], "not by another post either");
        let declined = Known { tried: vec![PersonId(Uuid::from_u128(51))], ..with };
        assert_eq!(picked(&declined, &staff, 1), [worker(4)]);
        let by_one_post = Known { tried: vec![PersonId(Uuid::from_u128(50))], ..Known::default() };
        assert_eq!(picked(&by_one_post, &staff, 1), [worker(3)], "who declined is not asked by another post");
        let rework = Known { before: vec![worker(4), worker(3)], ..Known::default() };
        assert_eq!(picked(&rework, &staff, 2), [worker(3), worker(4)], "both who did it, the idler first");
    }

    proptest! {
        #[test]
        fn picks_are_distinct_people_of_the_best(
            people in proptest::collection::vec((0..6_u128, 0..500_i64), 0..12),
            with in proptest::collection::vec(0..6_u128, 0..3),
            count in 0..5_usize,
        ) {
            let posts: Vec<(u128, u128, i64)> =
                people.iter().enumerate().map(|(n, (person, open))| (n as u128, *person, *open)).collect();
            let staff = staff(&posts);
            let with: Vec<PersonId> = with.into_iter().map(|id| PersonId(Uuid::from_u128(id))).collect();
            let known = Known { with: with.clone(), ..Known::default() };
            let person = |id: &WorkerId| staff.iter().find(|worker| worker.id == *id).unwrap().person_id;
            let got = picked(&known, &staff, count);
            let mut distinct: Vec<PersonId> = got.iter().map(person).collect();
            prop_assert!(distinct.iter().all(|person| !with.contains(person)));
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), got.len());
            let mut free: Vec<PersonId> = staff.iter().map(|w| w.person_id).collect();
            free.retain(|person| !with.contains(person));
            free.sort_unstable();
            free.dedup();
            prop_assert_eq!(got.len(), count.min(free.len()), "nobody is left out while somebody is missing");
            prop_assert!(picked(&known, &staff, count + 1).starts_with(&got), "one more changes no pick");
        }

        #[test]
        fn whoever_comes_and_goes_slots_are_held_once_and_never_more_than_are_wanted(
            wanted in 1..6_usize,
            moves in proptest::collection::vec((any::<bool>(), 0..6_usize), 0..60),
        ) {
            let mut held: Vec<Assignment> = Vec::new();
            for (n, (comes, which)) in moves.into_iter().enumerate() {
                let now: Vec<&Assignment> = held.iter().collect();
                if comes && missing(wanted, &now) > 0 {
                    let slot = free_slot(&now);
                    let offered = assignment(n as u128, AssignmentState::Offered);
                    held.push(Assignment { slot, ..offered });
                } else if !comes && !held.is_empty() {
                    held.remove(which % held.len());
                }
                let mut slots: Vec<usize> = held.iter().map(|a| usize::try_from(a.slot).unwrap()).collect();
                slots.sort_unstable();
                slots.dedup();
                prop_assert_eq!(slots.len(), held.len());
                prop_assert!(slots.iter().all(|slot| (1..=wanted).contains(slot)));
                let count = held.len();
                prop_assert_eq!(missing(wanted, &held.iter().collect::<Vec<_>>()), wanted - count);
            }
        }
    }
}
