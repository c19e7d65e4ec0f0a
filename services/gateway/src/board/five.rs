//! The five arrivals (五个到社区) as the board says them: verdicts and figures over what case-routing, staffing and analytics
//! answered. Pure: nothing is asked here, and what nobody told is said to be unknown.

use std::iter::Sum;

use proto::{
    analytics::v1::IndicatorValue,
    case_routing::v1::{Arrival, ArrivalState},
    staffing::v1::{DemandState, GetDutyDemandResponse},
};

/// What a service gave of its part.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<T> {
    /// The answer.
    Told(T),
    /// Not for this reader's role, or there is none.
    Hidden,
    /// Beyond what this reader may look at.
    Beyond,
    /// No answer just now.
    Away,
}

impl<T> Part<T> {
    /// The answer, made into something else.
    pub fn map<U>(&self, make: impl FnOnce(&T) -> U) -> Part<U> {
        match self {
            Self::Told(answer) => Part::Told(make(answer)),
            Self::Hidden => Part::Hidden,
            Self::Beyond => Part::Beyond,
            Self::Away => Part::Away,
        }
    }
}

/// Whether one of the five has come, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Never unspecified.
    pub state: ArrivalState,
    /// A code; empty where it has come.
    pub reason: String,
}

impl Verdict {
    fn new(state: ArrivalState, reason: &str) -> Self {
        Self { state, reason: reason.to_owned() }
    }

    /// What case-routing says.
    pub fn of(arrival: Option<&Arrival>) -> Self {
        match arrival.map(|arrival| (arrival.state(), arrival)) {
            None | Some((ArrivalState::Unspecified, _)) => Self::new(ArrivalState::Unknown, "not_recorded"),
            Some((state, arrival)) => Self::new(state, &arrival.reason_code),
        }
    }
}

/// Staff: who is on the promised posts now. Where staffing does not tell, what the duty learnt when it was confirmed.
pub fn staff(learnt: Option<&Arrival>, now: &Part<GetDutyDemandResponse>) -> Verdict {
    let Part::Told(GetDutyDemandResponse { demand: Some(demand), filled_posts }) = now else {
        return Verdict::of(learnt);
    };
    let filled = |kind: i32| -> i32 {
        filled_posts.iter().filter(|post| post.kind == kind).map(|post| post.count).sum()
    };
    let named = match demand.staff() {
        DemandState::Met => true,
        // One of them fell vacant after the transfer took effect.
        DemandState::Refused => !demand.post_ids.is_empty(),
        DemandState::Unspecified | DemandState::Asked | DemandState::Returned => false,
    };
    if !named {
        Verdict::new(ArrivalState::NotYet, "posts_not_named")
    } else if demand.posts.iter().any(|post| filled(post.kind) < post.count) {
        Verdict::new(ArrivalState::NotYet, "posts_vacant")
    } else {
        Verdict::new(ArrivalState::Arrived, "")
    }
}

/// Appraisal: residents have said something. How content they are is a figure, not a condition.
pub fn appraisal(figures: &Part<Figures>) -> Verdict {
    match figures {
        Part::Told(figures) if figures.ratings + figures.graded > 0 => {
            Verdict::new(ArrivalState::Arrived, "")
        }
        Part::Told(_) => Verdict::new(ArrivalState::NotYet, "no_ratings"),
        Part::Hidden | Part::Beyond => Verdict::new(ArrivalState::Unknown, "not_visible"),
        Part::Away => Verdict::new(ArrivalState::Unknown, "no_answer"),
    }
}

/// The indicators that the figures are taken from.
pub const CODES: [&str; 5] = ["I-01-closed", "I-01-open", "I-07", "I-18", "I-20"];

/// What analytics counted of items at a place since a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Cases registered.
    pub came: i64,
    /// Of these, closed by now.
    pub closed: i64,
    /// Of these, still open.
    pub open: i64,
    /// Completed or fallen due, deferred ones left out.
    pub due: i64,
    /// Of these, completed within the limit.
    pub on_time: i64,
    /// Ratings by requesters.
    pub ratings: i64,
    /// Of these, good ones.
    pub good: i64,
    /// Call-backs with a grade.
    pub graded: i64,
    /// Of these, satisfied ones.
    pub satisfied: i64,
}

impl Figures {
    /// Of the values of [`CODES`]; what is not among them counts nothing.
    pub fn of(values: &[IndicatorValue]) -> Self {
        let both = |code: &str| {
            let value = values.iter().find(|value| value.code == code);
            value.map_or((0, 0), |value| (value.numerator, value.denominator))
        };
        let (closed, came) = both("I-01-closed");
        let (open, _) = both("I-01-open");
        let (on_time, due) = both("I-07");
        let (satisfied, graded) = both("I-18");
        let (good, ratings) = both("I-20");
        Self { came, closed, open, due, on_time, ratings, good, graded, satisfied }
    }
}

impl<'a> Sum<&'a Self> for Figures {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            came: sum.came + one.came,
            closed: sum.closed + one.closed,
            open: sum.open + one.open,
            due: sum.due + one.due,
            on_time: sum.on_time + one.on_time,
            ratings: sum.ratings + one.ratings,
            good: sum.good + one.good,
            graded: sum.graded + one.graded,
            satisfied: sum.satisfied + one.satisfied,
        })
    }
}

/// `93.72 %`, or a dash where nothing was counted.
pub fn rate(numerator: i64, denominator: i64) -> String {
    if denominator > 0 {
        format!("{:.2} %", numerator as f64 * 100.0 / denominator as f64)
    } else {
        "—".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proto::staffing::v1::{DutyDemand, PostDemand, PostKind};

    use super::*;

    fn arrival(state: ArrivalState, reason: &str) -> Arrival {
        Arrival { state: state.into(), reason_code: reason.to_owned() }
    }

    fn posts(pairs: &[(PostKind, i32)]) -> Vec<PostDemand> {
        pairs.iter().map(|(kind, count)| PostDemand { kind: (*kind).into(), count: *count }).collect()
    }

    fn demand(staff: DemandState, filled: &[(PostKind, i32)]) -> Part<GetDutyDemandResponse> {
        let asked = posts(&[(PostKind::ServiceWorker, 2), (PostKind::GridWorker, 1)]);
        let demand = DutyDemand { staff: staff.into(), posts: asked, ..Default::default() };
        Part::Told(GetDutyDemandResponse { demand: Some(demand), filled_posts: posts(filled) })
    }

    fn says(verdict: &Verdict) -> (ArrivalState, &str) {
        (verdict.state, &verdict.reason)
    }

    #[test]
    fn staff_is_there_when_every_promised_post_has_somebody_on_it_now() {
        let learnt = arrival(ArrivalState::Arrived, "");
        let judged = |now| {
            let verdict = staff(Some(&learnt), &now);
            (verdict.state, verdict.reason)
        };
        let expected = |state, reason: &str| (state, reason.to_owned());
        let (worker, grid) = (PostKind::ServiceWorker, PostKind::GridWorker);
        let all = demand(DemandState::Met, &[(worker, 2), (grid, 1)]);
        assert_eq!(judged(all), expected(ArrivalState::Arrived, ""));
        for part in [&[(worker, 1), (grid, 1)][..], &[(worker, 3)], &[]] {
            let now = demand(DemandState::Met, part);
            assert_eq!(judged(now), expected(ArrivalState::NotYet, "posts_vacant"), "{part:?}");
        }
        for unmet in [DemandState::Asked, DemandState::Refused, DemandState::Returned] {
            let now = demand(unmet, &[(worker, 2), (grid, 1)]);
            assert_eq!(judged(now), expected(ArrivalState::NotYet, "posts_not_named"));
        }
        // Named, and one of them vacant since the transfer took effect.
        let Part::Told(mut broken) = demand(DemandState::Refused, &[(worker, 1), (grid, 1)]) else {
            panic!("told")
        };
        broken.demand.as_mut().unwrap().post_ids = vec!["post".to_owned()];
        assert_eq!(judged(Part::Told(broken)), expected(ArrivalState::NotYet, "posts_vacant"));
        // Where staffing does not tell, it is as the duty learnt.
        let nothing = Part::Told(GetDutyDemandResponse::default());
        for silent in [Part::Hidden, Part::Beyond, Part::Away, nothing] {
            assert_eq!(judged(silent), expected(ArrivalState::Arrived, ""));
        }
        let unknown = arrival(ArrivalState::Unknown, "not_recorded");
        let verdict = staff(Some(&unknown), &Part::Hidden);
        assert_eq!(says(&verdict), (ArrivalState::Unknown, "not_recorded"));
    }

    #[test]
    fn nobody_having_said_anything_is_no_appraisal_and_has_no_rate() {
        let told = |ratings, graded| Part::Told(Figures { ratings, graded, ..Default::default() });
        assert_eq!(says(&appraisal(&told(0, 0))), (ArrivalState::NotYet, "no_ratings"));
        assert_eq!(says(&appraisal(&told(1, 0))), (ArrivalState::Arrived, ""));
        assert_eq!(says(&appraisal(&told(0, 1))), (ArrivalState::Arrived, ""));
        for unseen in [Part::Hidden, Part::Beyond] {
            assert_eq!(says(&appraisal(&unseen)), (ArrivalState::Unknown, "not_visible"));
        }
        assert_eq!(says(&appraisal(&Part::Away)), (ArrivalState::Unknown, "no_answer"));
        assert_eq!(rate(0, 0), "—");
        assert_eq!([rate(0, 3), rate(2, 3), rate(3, 3)], ["0.00 %", "66.67 %", "100.00 %"]);
    }

    #[test]
    fn what_case_routing_says_is_taken_over_and_what_it_does_not_say_is_unknown() {
        let partly = arrival(ArrivalState::NotYet, "partly_listed");
        assert_eq!(says(&Verdict::of(Some(&partly))), (ArrivalState::NotYet, "partly_listed"));
        let unknown = (ArrivalState::Unknown, "not_recorded");
        assert_eq!(says(&Verdict::of(None)), unknown);
        assert_eq!(says(&Verdict::of(Some(&Arrival::default()))), unknown);
    }

    #[test]
    fn figures_are_read_by_code_and_added_up_before_a_rate_is_made() {
        let value = |code: &str, numerator, denominator| IndicatorValue {
            code: code.to_owned(),
            numerator,
            denominator,
            ..Default::default()
        };
        let values = [
            value("I-20", 1, 2),
            value("I-07", 3, 4),
            value("I-01-closed", 5, 9),
            value("I-01-open", 3, 9),
            value("I-18", 1, 1),
        ];
        let first = Figures::of(&values);
        let expected = Figures {
            came: 9,
            closed: 5,
            open: 3,
            due: 4,
            on_time: 3,
            ratings: 2,
            good: 1,
            graded: 1,
            satisfied: 1,
        };
        assert_eq!(first, expected);
        assert_eq!(Figures::of(&[]), Figures::default());
        let second = Figures { due: 1, came: 1, ..Default::default() };
        let both: Figures = [first, second].iter().sum();
        assert_eq!((both.came, both.due, both.on_time, both.graded), (10, 5, 3, 1));
        assert_eq!(rate(both.on_time, both.due), "60.00 %", "not the mean of two rates");
        let hidden: Part<Vec<Figures>> = Part::Hidden;
        assert_eq!(hidden.map(|all| all.iter().sum::<Figures>()), Part::Hidden);
        assert!(CODES.iter().all(|code| values.iter().any(|value| value.code == *code)));
    }
}
