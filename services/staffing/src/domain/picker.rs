//! Who is asked first: pure, deterministic, explained. Every candidate gets a cost in minutes of workload; the cheapest
//! goes first, ties go to whoever was asked longest ago. Reasons are codes with values, never prose.
//!
//! S-2: who may not decide is never given what ends in a decision. S-3: an auxiliary worker is only reached through the
//! station (or street) that manages the post, and only for the post's own line.

use std::fmt;

use chassis::Timestamp;
use uuid::Uuid;

use super::{OrgId, PersonId, Worker, WorkerId};

/// A missing skill weighs as much as half a day of work.
const MISSING_SKILL: i64 = 240;
/// Somebody off shift is asked when everybody on shift has a day of work more.
const OFF_SHIFT: i64 = 480;
/// Beyond the agreed number of open assignments everybody else goes first.
const FULL: i64 = 1_000_000;
/// Who worked on the task before goes before everybody.
const AGAIN: i64 = -100_000_000;

/// Depth of a unit in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// 市
    City,
    /// 区
    District,
    /// 街道
    Street,
    /// 社区
    Community,
    /// 院落
    Courtyard,
    /// 门栋
    Doorway,
}

impl Level {
    fn cost(level: Option<Self>) -> i64 {
        match level {
            Some(Self::Doorway) => 0,
            Some(Self::Courtyard) => 2,
            Some(Self::Community) => 5,
            Some(Self::Street) => 30,
            Some(Self::District) => 60,
            Some(Self::City) => 120,
            None => 240,
        }
    }

    fn code(level: Option<Self>) -> &'static str {
        match level {
            Some(Self::Doorway) => "same_doorway",
            Some(Self::Courtyard) => "same_courtyard",
            Some(Self::Community) => "same_community",
            Some(Self::Street) => "same_street",
            Some(Self::District) => "same_district",
            Some(Self::City) => "same_city",
            None => "unknown",
        }
    }
}

/// Units from the root to a leaf.
pub type Path = Vec<(Uuid, Level)>;

/// What a task needs.
#[derive(Clone, Debug)]
pub struct Need<'a> {
    /// The organisation that signed: only its own workers are asked.
    pub org_id: OrgId,
    /// It manages auxiliary workers day to day (a station or street office).
    pub manages_auxiliaries: bool,
    /// The handling ends in a decision.
    pub decision: bool,
    /// Line of the item.
    pub line: Option<&'a str>,
    /// Skills of the item.
    pub skills: &'a [String],
    /// Where.
    pub place: &'a [(Uuid, Level)],
    /// People who are not asked again in this round.
    pub tried: &'a [PersonId],
    /// People who have it in hand.
    pub with: &'a [PersonId],
    /// Worked on it last.
    pub before: &'a [WorkerId],
}

/// A worker as the picker sees them.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The worker, with the load as it is now.
    pub worker: &'a Worker,
    /// Rostered now.
    pub on_shift: bool,
    /// Path to the worker's area.
    pub area: &'a [(Uuid, Level)],
}

/// A candidate with a cost and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// The worker.
    pub worker_id: WorkerId,
    /// The person behind the worker, who may have other posts too.
    pub person_id: PersonId,
    /// In minutes; the cheapest first.
    pub cost: i64,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// One part of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Worked on this task before.
    Again,
    /// Skills held of those asked for.
    Skill {
        /// Held.
        held: usize,
        /// Asked for.
        of: usize,
    },
    /// Deepest unit that the place and the worker's area share.
    Area(Option<Level>),
    /// On shift now.
    Shift(bool),
    /// Open assignments.
    Load(i32),
    /// At or beyond the agreed number.
    Full {
        /// Open assignments.
        open: i32,
        /// Agreed number.
        of: i32,
    },
    /// Chosen by hand, with the head's reason.
    ByHand(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again => f.write_str("again:same_worker"),
            Self::Skill { held, of } => write!(f, "skill:{held}/{of}"),
            Self::Area(level) => write!(f, "area:{}", Level::code(*level)),
            Self::Shift(on) => write!(f, "shift:{}", if *on { "on" } else { "off" }),
            Self::Load(open) => write!(f, "load:{open}"),
            Self::Full { open, of } => write!(f, "full:{open}/{of}"),
            Self::ByHand(reason) => write!(f, "by_hand:{reason}"),
        }
    }
}

/// Why a worker may not be given a task at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// Of another organisation.
    OtherOrganisation,
    /// The appointment has ended.
    Ended,
    /// S-2.
    MayNotDecide,
    /// S-3.
    NotThroughStation,
    /// An auxiliary worker of another line.
    OtherLine,
}

impl Barred {
    /// Code for the caller.
    pub fn code(self) -> &'static str {
        match self {
            Self::OtherOrganisation => "works for another organisation",
            Self::Ended => "the appointment has ended",
            Self::MayNotDecide => "may not carry a decision",
            Self::NotThroughStation => "is reached through the station only",
            Self::OtherLine => "is of another line",
        }
    }
}

/// Whether a worker may be given the task, by machine or by hand.
pub fn barred(need: &Need<'_>, worker: &Worker) -> Option<Barred> {
    let auxiliary = worker.kind == super::PostKind::AuxiliaryWorker;
    if worker.org_id != need.org_id {
        Some(Barred::OtherOrganisation)
    } else if !worker.active {
        Some(Barred::Ended)
    } else if need.decision && !worker.kind.may_decide() {
        Some(Barred::MayNotDecide)
    } else if auxiliary && !need.manages_auxiliaries {
        Some(Barred::NotThroughStation)
    } else if auxiliary && matches!((&worker.line, need.line), (Some(own), Some(line)) if own != line) {
        Some(Barred::OtherLine)
    } else {
        None
    }
}

/// Everybody who may be asked, best first.
pub fn rank<'a>(need: &Need<'_>, candidates: impl IntoIterator<Item = Candidate<'a>>) -> Vec<Ranked> {
    let mut ranked: Vec<(Ranked, Option<Timestamp>)> = candidates
        .into_iter()
        .filter(|c| barred(need, c.worker).is_none() && c.worker.max_open > 0)
        .filter(|c| {
            let person = &c.worker.person_id;
            !need.tried.contains(person) && !need.with.contains(person)
        })
        .map(|c| (weigh(need, &c), c.worker.last_offered_at))
        .collect();
    ranked.sort_by(|(a, asked_a), (b, asked_b)| {
        a.cost.cmp(&b.cost).then(asked_a.cmp(asked_b)).then(a.worker_id.cmp(&b.worker_id))
    });
    ranked.into_iter().map(|(ranked, _)| ranked).collect()
}

/// The cost of one candidate, explained.
pub fn weigh(need: &Need<'_>, candidate: &Candidate<'_>) -> Ranked {
    let worker = candidate.worker;
    let held = need.skills.iter().filter(|skill| worker.skills.contains(skill)).count();
    let area = shared(need.place, candidate.area);
    let day = i64::from(worker.daily_minutes.max(1));
    let mut cost = worker.open_minutes.saturating_mul(480) / day;
    cost += MISSING_SKILL * i64::try_from(need.skills.len() - held).unwrap_or(i64::from(i32::MAX));
    cost += Level::cost(area);
    let mut reasons = Vec::with_capacity(6);
    if need.before.contains(&worker.id) {
        cost += AGAIN;
        reasons.push(Reason::Again);
    }
    reasons.push(Reason::Skill { held, of: need.skills.len() });
    reasons.push(Reason::Area(area));
    reasons.push(Reason::Shift(candidate.on_shift));
    if !candidate.on_shift {
        cost += OFF_SHIFT;
    }
    if worker.open_count >= worker.max_open {
        cost += FULL;
        reasons.push(Reason::Full { open: worker.open_count, of: worker.max_open });
    }
    reasons.push(Reason::Load(worker.open_count));
    Ranked { worker_id: worker.id, person_id: worker.person_id, cost, reasons }
}

/// The deepest unit on both paths.
fn shared(place: &[(Uuid, Level)], area: &[(Uuid, Level)]) -> Option<Level> {
    place.iter().zip(area).take_while(|(a, b)| a.0 == b.0).last().map(|(unit, _)| unit.1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{PostKind, testing};

    const STATION: OrgId = OrgId(Uuid::from_u128(900));

    fn path(ids: &[u128]) -> Path {
        let levels = [Level::City, Level::District, Level::Street, Level::Community, Level::Courtyard];
        ids.iter().map(|id| Uuid::from_u128(*id)).zip(levels).collect()
    }

    fn worker(id: u128, change: impl FnOnce(&mut Worker)) -> Worker {
        let mut worker = Worker { id: WorkerId(Uuid::from_u128(id)), org_id: STATION, ..testing::worker() };
        change(&mut worker);
        worker
    }

    fn need<'a>(skills: &'a [String], place: &'a Path) -> Need<'a> {
        Need {
            org_id: STATION,
            manages_auxiliaries: true,
            decision: false,
            line: None,
            skills,
            place,
            tried: &[],
            with: &[],
            before: &[],
        }
    }

    fn order(need: &Need<'_>, workers: &[Worker], area: &Path) -> Vec<u128> {
        let candidates = workers.iter().map(|worker| Candidate { worker, on_shift: true, area });
        rank(need, candidates).into_iter().map(|ranked| ranked.worker_id.0.as_u128()).collect()
    }

    #[test]
    fn the_fitting_the_near_and_the_idle_go_first_and_it_is_said_why() {
        let skills = vec!["patrol".to_owned(), "visiting".to_owned()];
        let place = path(&[1, 2, 3, 4, 5]);
        let need = need(&skills, &place);
        let fit = worker(1, |w| w.skills.clone_from(&skills));
        let loaded = worker(2, |w| {
            w.skills.clone_from(&skills);
            (w.open_count, w.open_minutes) = (1, 60);
        });
        let unfit = worker(3, |_| {});
        let community = path(&[1, 2, 3, 4]);
        assert_eq!(order(&need, &[unfit.clone(), loaded.clone(), fit.clone()], &community), [1, 2, 3]);
        let best = weigh(&need, &Candidate { worker: &loaded, on_shift: true, area: &community });
        let reasons: Vec<String> = best.reasons.iter().map(ToString::to_string).collect();
        assert_eq!(reasons, ["skill:2/2", "area:same_community", "shift:on", "load:1"]);
        assert_eq!(best.cost, 60 + 5);
        let far = weigh(&need, &Candidate { worker: &fit, on_shift: false, area: &path(&[1, 2]) });
        assert_eq!(far.cost, 60 + 480);
        assert_eq!(far.reasons[1].to_string(), "area:same_district");
    }

    #[test]
    fn equal_candidates_are_asked_in_turn() {
        let place = path(&[1]);
        let asked_at = |minutes| Some(testing::now() + chrono::TimeDelta::minutes(minutes));
        let workers = [(1, asked_at(3)), (2, asked_at(1)), (3, None)]
            .map(|(id, at)| worker(id, |w| w.last_offered_at = at));
        assert_eq!(order(&need(&[], &place), &workers, &place), [3, 2, 1]);
    }

    #[test]
    fn who_is_full_goes_last_and_who_worked_on_it_before_goes_first() {
        let place = path(&[1]);
        let full = worker(1, |w| (w.open_count, w.max_open) = (5, 5));
        let busy = worker(2, |w| (w.open_count, w.open_minutes) = (4, 4_000));
        assert_eq!(order(&need(&[], &place), &[full.clone(), busy.clone()], &place), [2, 1]);
        let again = Need { before: &[full.id], ..need(&[], &place) };
        assert_eq!(order(&again, &[full, busy], &place), [1, 2]);
    }

    #[test]
    fn auxiliary_workers_come_through_their_station_never_decide_and_stay_on_their_line() {
        let place = path(&[1]);
        let auxiliary = worker(1, |w| {
            w.kind = PostKind::AuxiliaryWorker;
            w.line = Some("urban_management".to_owned());
        });
        let ask = |change: fn(&mut Need<'_>)| {
            let mut need = need(&[], &place);
            change(&mut need);
            barred(&need, &auxiliary)
        };
        assert_eq!(ask(|_| {}), None);
        assert_eq!(ask(|n| n.line = Some("urban_management")), None);
        assert_eq!(ask(|n| n.line = Some("housing")), Some(Barred::OtherLine));
        assert_eq!(ask(|n| n.decision = true), Some(Barred::MayNotDecide));
        assert_eq!(ask(|n| n.manages_auxiliaries = false), Some(Barred::NotThroughStation));
        let by_hand_only = worker(2, |w| w.max_open = 0);
        assert!(order(&need(&[], &place), &[by_hand_only], &place).is_empty());
    }

    fn any_worker() -> impl Strategy<Value = Worker> {
        (1..50_u128, 0..3_u128, any::<bool>(), 0..6_usize, 0..30_i32, 0..4_i32, 0..2_usize).prop_map(
            |(id, org, active, kind, open, max_open, skills)| {
                worker(id, |w| {
                    // Two posts each.
                    w.person_id = PersonId(Uuid::from_u128(id / 2));
                    w.org_id = OrgId(Uuid::from_u128(900 + org));
                    w.active = active;
                    w.kind = PostKind::ALL[kind];
                    (w.open_count, w.open_minutes) = (open, i64::from(open) * 45);
                    w.max_open = max_open;
                    w.skills = ["patrol", "visiting"][..skills].iter().map(ToString::to_string).collect();
                })
            },
        )
    }

    proptest! {
        #[test]
        fn nobody_is_picked_who_must_not_be(
            workers in proptest::collection::vec(any_worker(), 0..20),
            decision: bool,
            manages: bool,
            tried in proptest::collection::vec(0..25_u128, 0..5),
        ) {
            let place = path(&[1, 2, 3]);
            let tried: Vec<PersonId> = tried.into_iter().map(|id| PersonId(Uuid::from_u128(id))).collect();
            let need = Need { decision, manages_auxiliaries: manages, tried: &tried, ..need(&[], &place) };
            let candidates = || workers.iter().map(|w| Candidate { worker: w, on_shift: true, area: &place });
            let ranked = rank(&need, candidates());
            prop_assert!(ranked.windows(2).all(|pair| pair[0].cost <= pair[1].cost));
            for pick in &ranked {
                let of_id: Vec<&Worker> = workers.iter().filter(|w| w.id == pick.worker_id).collect();
                let allowed = |w: &&Worker| {
                    w.active && w.org_id == STATION && w.max_open > 0
                        && (!decision || w.kind.may_decide())
                        && (manages || w.kind != PostKind::AuxiliaryWorker)
                };
                prop_assert!(of_id.iter().any(allowed));
                prop_assert!(!tried.contains(&pick.person_id));
            }
            // The order in which candidates come does not matter where ids are distinct.
            let mut distinct: Vec<Worker> = workers.clone();
            distinct.sort_by_key(|w| w.id);
            distinct.dedup_by_key(|w| w.id);
            let forth = rank(&need, distinct.iter().map(|w| Candidate { worker: w, on_shift: true, area: &place }));
            let back = rank(&need, distinct.iter().rev().map(|w| Candidate { worker: w, on_shift: true, area: &place }));
            prop_assert_eq!(forth, back);
        }
    }
}
