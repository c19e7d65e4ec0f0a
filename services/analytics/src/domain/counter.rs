//! The counters of a rollup cell. Each is a column of `rollups` and a word in the formulas of the indicators. A new
//! counter is a column and a line here; `rebuild` fills it.

use std::ops::{AddAssign, Index, IndexMut, Range};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident = $column:literal,)+) => {
        /// A counter of a cell.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Counter {
            /// Every counter, in the order of [`Counters`].
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its column and its name in formulas.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $column,)+
                }
            }
        }
    };
}

counters! {
    // --- by the day of registration
    /// Cases registered.
    Registered = "registered",
    /// Of these, closed now.
    RegisteredClosed = "registered_closed",
    /// Of these, ended now in whichever way; the rest is open.
    RegisteredEnded = "registered_ended",
    /// Of these, first intake decision within its limit.
    IntakeInTime = "intake_in_time",
    /// Of these, accepted.
    Accepted = "accepted",
    /// Of the accepted ones, those that repeat a case of the same requester, item and place.
    Repeated = "repeated",
    /// Of these, started from above, such as a topic case: nobody asked.
    RegisteredAbove = "registered_above",
    /// Of these, about a component or an event (部件, 事件), not started from above.
    RegisteredField = "registered_field",
    /// Of the latter, found on patrol.
    FieldPatrol = "field_patrol",
    /// Of these, put right on the spot by the finder.
    FieldSolved = "field_solved",
    // --- by the day of the first dispatch or offer
    /// Cases dispatched or offered for the first time.
    Routed = "routed",
    /// Of these, within the limit.
    RoutedInTime = "routed_in_time",
    // --- by the attribution day of the due cohort
    /// Members of the due cohort (应办结).
    Due = "due",
    /// Of these, suspended with approval before they were late (缓办).
    DueDeferred = "due_deferred",
    /// Of these, completed and verified.
    DueVerified = "due_verified",
    /// Of these, completed within the limit, and never too late before they were sent back.
    DueOnTime = "due_on_time",
    /// Members with an extension.
    DueExtended = "due_extended",
    /// Members under supervision at least once.
    DueSupervised = "due_supervised",
    /// Supervisions issued for members.
    Supervisions = "supervisions",
    /// Of these, answered in time.
    SupervisionsInTime = "supervisions_in_time",
    // --- by the day a limit passed, or the lateness ended
    /// Cases that became late, each time.
    OverdueIn = "overdue_in",
    /// Late cases that were completed or ended.
    OverdueOut = "overdue_out",
    /// Sum of the working-day numbers of the days on which cases became late.
    OverdueInDays = "overdue_in_days",
    /// The same sum, of those that are late no more, on the day that ended.
    OverdueOutDays = "overdue_out_days",
    // --- by the day of closing
    /// Cases closed.
    Closed = "closed",
    /// Of these, dispatched at least once.
    ClosedDispatched = "closed_dispatched",
    /// Of these, with the lead they were first given to the end.
    ClosedFirstLead = "closed_first_lead",
    /// Lead changes of the dispatched ones.
    ClosedLeadChanges = "closed_lead_changes",
    /// Closed cases that the requester rated in person.
    ClosedRated = "closed_rated",
    /// Closed, done by government itself.
    ModeGovDirect = "mode_gov_direct",
    /// Closed, bought by government.
    ModeGovPurchased = "mode_gov_purchased",
    /// Closed, done by volunteers.
    ModeVolunteer = "mode_volunteer",
    /// Closed, done by self-governance.
    ModeSelfGovernance = "mode_self_governance",
    /// Closed, done by the market.
    ModeMarket = "mode_market",
    // --- by the day of entering a final state
    /// Ended: resolved.
    EndedResolved = "ended_resolved",
    /// Ended: partly resolved.
    EndedPartlyResolved = "ended_partly_resolved",
    /// Ended: explained.
    EndedExplained = "ended_explained",
    /// Ended: unfounded.
    EndedUnfounded = "ended_unfounded",
    /// Ended: beyond authority.
    EndedBeyondAuthority = "ended_beyond_authority",
    /// Ended: self-governed.
    EndedSelfGoverned = "ended_self_governed",
    /// Ended: mediated.
    EndedMediated = "ended_mediated",
    /// Ended: withdrawn.
    EndedWithdrawn = "ended_withdrawn",
    /// Ended: merged.
    EndedMerged = "ended_merged",
    /// Ended: declined.
    EndedDeclined = "ended_declined",
    /// Ended: handed off.
    EndedHandedOff = "ended_handed_off",
    // --- by the day of the first closing
    /// Cases closed for the first time.
    FirstClosed = "first_closed",
    /// Of these, without rework and without reopening in 30 days.
    OnceResolved = "once_resolved",
    // --- by the day of completion
    /// Completed cases with a call-back due.
    CallbackDue = "callback_due",
    /// Of these, not reached after all attempts.
    CallbackUnreached = "callback_unreached",
    /// Of these, reached and answered: the valid ones.
    CallbackValid = "callback_valid",
    /// Valid ones contacted in time by whoever did the work, as the requester confirms.
    CallbackContacted = "callback_contacted",
    /// Valid ones whose resolution counts (not explained, unfounded or beyond authority).
    CallbackResolvable = "callback_resolvable",
    /// Of these, resolved.
    CallbackResolved = "callback_resolved",
    /// Of these, partly resolved.
    CallbackPartly = "callback_partly",
    /// Valid ones with a grade.
    CallbackGraded = "callback_graded",
    /// Sum of these grades.
    CallbackGrades = "callback_grades",
    /// Of these, grade 3 or better.
    CallbackSatisfied = "callback_satisfied",
    /// Of these, grade 4 or better.
    CallbackWellSatisfied = "callback_well_satisfied",
    // --- by the day of the rating
    /// Ratings.
    Rated = "rated",
    /// Of these, grade 3 or better.
    RatedGood = "rated_good",
    /// Of these, grade 2 or worse.
    RatedBad = "rated_bad",
    /// Bad ratings judged to stand.
    BadValid = "bad_valid",
    /// Of these, reworked in time.
    BadRectified = "bad_rectified",
    /// Bad ratings after which the requester was called back.
    BadCalledBack = "bad_called_back",
    // --- tasks, by the day of issue
    /// Tasks issued.
    TasksIssued = "tasks_issued",
    /// Of these, signed in time; a partner's task comes signed, by the offer it accepted.
    TasksSignedInTime = "tasks_signed_in_time",
    /// Tasks objected to.
    TasksObjected = "tasks_objected",
    /// Tasks ruled on.
    TasksRuled = "tasks_ruled",
    /// Of these, the objector was right.
    TasksUpheld = "tasks_upheld",
    /// Whistles: departments called together by a street.
    Whistles = "whistles",
    /// Of these, the department reported in within the limit.
    WhistlesReported = "whistles_reported",
    /// Whistles of which the street judged whether the matter was solved.
    WhistlesAppraised = "whistles_appraised",
    /// Of these, solved.
    WhistlesSolved = "whistles_solved",
    /// Whistles of which the department judged whether they were needed.
    WhistlesWeighed = "whistles_weighed",
    /// Of these, needed.
    WhistlesNeeded = "whistles_needed",
    // --- tasks, by the day of the first submission
    /// Tasks submitted.
    TasksSubmitted = "tasks_submitted",
    /// Of these, sent back at least once.
    TasksReturned = "tasks_returned",
    // --- mediations, by the day they were opened
    /// Disputes opened for mediation.
    DisputesOpened = "disputes_opened",
    /// Of these, settled by an agreement in effect.
    DisputesSettled = "disputes_settled",
    /// Of these, by a mediator of the community or below.
    DisputesSettledWithin = "disputes_settled_within",
    // --- mediations, by the day agreed on
    /// Agreements to be performed by then.
    AgreementsDue = "agreements_due",
    /// Of these, found performed.
    AgreementsPerformed = "agreements_performed",
}

impl Counter {
    /// Those that the stock at the end of a day is made of, counted on all days before.
    pub const STOCK: [Self; 4] =
        [Self::OverdueIn, Self::OverdueOut, Self::OverdueInDays, Self::OverdueOutDays];

    /// The counter of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.name() == name)
    }
}

/// Counters that are counted on the same occasions, and so mostly in the same cells: each begins with one of these and goes up
/// to the next.
const FAMILIES: [Counter; Families::COUNT] = [
    Counter::Registered,
    Counter::Due,
    Counter::OverdueIn,
    Counter::Closed,
    Counter::EndedResolved,
    Counter::CallbackDue,
    Counter::Rated,
    Counter::TasksIssued,
];

/// A set of families of counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Families(u8);

impl Families {
    /// How many families there are.
    const COUNT: usize = 8;

    /// How many sets of them there are.
    pub const SETS: usize = 1 << Self::COUNT;

    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    /// Those of cases under way: how they came in, their limits and their tasks.
    pub const OPEN: Self = Self(1 | 1 << 1 | 1 << 2 | 1 << 7);

    /// The number of this set, below [`Self::SETS`].
    pub fn number(self) -> usize {
        self.0.into()
    }

    /// Whether these hold all of others.
    pub fn hold(self, others: Self) -> bool {
        self.and(others) == self
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Places of their counters in [`Counter::ALL`], in order.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..Self::COUNT).filter(move |n| self.0 >> n & 1 == 1).flat_map(Self::range)
    }

    /// Those with a counter that is not zero.
    fn counted(values: &[i64; Counter::COUNT]) -> Self {
        let counted = |n: &usize| values[Self::range(*n)].iter().any(|value| *value != 0);
        Self((0..Self::COUNT).filter(counted).fold(0, |set, n| set | 1 << n))
    }

    fn range(family: usize) -> Range<usize> {
        let end = FAMILIES.get(family + 1).map_or(Counter::COUNT, |next| *next as usize);
        FAMILIES[family] as usize..end
    }
}

/// One number per counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters([i64; Counter::COUNT]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::COUNT])
    }
}

impl Counters {
    /// From numbers in the order of [`Counter::ALL`]; missing ones are 0.
    pub fn from_slice(values: &[i64]) -> Self {
        let mut counters = Self::default();
        for (to, from) in counters.0.iter_mut().zip(values) {
            *to = *from;
        }
        counters
    }

    /// From numbers in the order of [`Counter::STOCK`]; all others are 0.
    pub fn of_stock(values: &[i64]) -> Self {
        let mut counters = Self::default();
        Counter::STOCK.into_iter().zip(values).for_each(|(counter, n)| counters[counter] = *n);
        counters
    }

    /// The numbers, in the order of [`Counter::ALL`].
    pub fn values(&self) -> &[i64] {
        &self.0
    }

    /// Whether nothing is counted.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|n| *n == 0)
    }

    /// The families of which something is counted.
    pub fn families(&self) -> Families {
        Families::counted(&self.0)
    }
}

impl Index<Counter> for Counters {
    type Output = i64;

    fn index(&self, counter: Counter) -> &i64 {
        &self.0[counter as usize]
    }
}

impl IndexMut<Counter> for Counters {
    fn index_mut(&mut self, counter: Counter) -> &mut i64 {
        &mut self.0[counter as usize]
    }
}

impl AddAssign<&Counters> for Counters {
    fn add_assign(&mut self, other: &Counters) {
        for (to, from) in self.0.iter_mut().zip(&other.0) {
            *to += from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_hold_every_counter_once_in_order() {
        let all: Vec<usize> = Families::ALL.places().collect();
        assert_eq!(all, (0..Counter::COUNT).collect::<Vec<_>>());
        assert!((0..Families::COUNT).all(|n| !Families::range(n).is_empty()));
    }

    #[test]
    fn what_is_counted_is_in_its_families_and_nothing_of_others_is() {
        for counter in Counter::ALL {
            let mut counters = Counters::default();
            assert_eq!(counters.families().places().count(), 0);
            counters[*counter] = -1;
            let families = counters.families();
            assert_eq!(families.0.count_ones(), 1);
            assert!(families.places().any(|place| place == *counter as usize));
        }
        let mut both = Counters::default();
        both[Counter::Registered] = 1;
        let mut other = Counters::default();
        other[Counter::AgreementsPerformed] = 2;
        let families = both.families().and(other.families());
        both += &other;
        assert_eq!(both.families(), families);
        assert!(families.hold(other.families()) && !other.families().hold(families));
    }
}
