//! An offer to a partner and the hours it led to. Partners are invited, never ordered; acceptance binds only when
//! case-routing confirms it, and case-routing alone owns the deadline.

use chassis::{Error, Result, Timestamp};
use uuid::Uuid;

use super::{OfferId, RecordId, Volunteer, VolunteerId, ranking::Candidate, texts};

texts!(
    /// State of an offer.
    OfferState {
        /// Waits for the partner.
        Offered = "offered",
        /// The partner said yes; case-routing has not confirmed yet.
        Accepted = "accepted",
        /// Binding.
        Confirmed = "confirmed",
        /// The partner said no.
        Declined = "declined",
        /// The deadline passed.
        Expired = "expired",
        /// case-routing took it back.
        Withdrawn = "withdrawn",
        /// The work is done, as the partner says, or as case-routing does.
        Completed = "completed",
        /// The partner gave a confirmed offer back.
        GivenUp = "given_up",
    }
);

texts!(
    /// What can happen to an offer.
    Verb {
        /// The partner accepts.
        Accept = "accept",
        /// The partner declines.
        Decline = "decline",
        /// case-routing confirms.
        Confirm = "confirm",
        /// The deadline passed, says case-routing.
        Expire = "expire",
        /// case-routing takes it back.
        Withdraw = "withdraw",
        /// The partner gives up.
        GiveUp = "give_up",
        /// The partner says who does it.
        Name = "name",
        /// The volunteer who was to do it says no.
        StepBack = "step_back",
        /// The partner says it is done.
        Complete = "complete",
        /// The case was completed without the partner's word, as by an agreement of the parties.
        Settle = "settle",
        /// The partner adds its hours to what was settled without its word.
        AddHours = "add_hours",
        /// The work goes back to the partner.
        Rework = "rework",
        /// The case was closed.
        Close = "close",
    }
);

impl OfferState {
    /// Whether something is still to be done by the partner.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Offered | Self::Accepted | Self::Confirmed)
    }

    /// The state after a verb; `None` where it is not allowed.
    pub fn after(self, verb: Verb) -> Option<Self> {
        use OfferState::{Accepted, Completed, Confirmed, Declined, Expired, GivenUp, Offered, Withdrawn};
        match (self, verb) {
            (Offered, Verb::Accept) => Some(Accepted),
            (Offered, Verb::Decline) => Some(Declined),
            (Accepted, Verb::Confirm) => Some(Confirmed),
            (Offered | Accepted, Verb::Expire) => Some(Expired),
            (Offered | Accepted | Confirmed | Completed, Verb::Withdraw) => Some(Withdrawn),
            (Accepted | Confirmed, Verb::Name | Verb::StepBack) => Some(self),
            (Confirmed, Verb::GiveUp) => Some(GivenUp),
            // A case that is closed was completed, also where nothing was heard of that.
            (Confirmed, Verb::Complete | Verb::Settle | Verb::Close) => Some(Completed),
            (Completed, Verb::AddHours | Verb::Close) => Some(Completed),
            (Completed, Verb::Rework) => Some(Confirmed),
            _ => None,
        }
    }
}

texts!(
    /// State of a service record.
    RecordState {
        /// Written down by the partner.
        Drafted = "drafted",
        /// The beneficiary agreed.
        BeneficiaryConfirmed = "beneficiary_confirmed",
        /// The organisation agreed.
        OrgConfirmed = "org_confirmed",
        /// Counts for good.
        Locked = "locked",
        /// Does not count.
        Voided = "voided",
    }
);

/// Hours served for an offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Id.
    pub id: RecordId,
    /// Minutes without travel.
    pub minutes: i32,
    /// State.
    pub state: RecordState,
    /// When the service began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// The longest service one record can hold, in minutes: a day's work, not a day.
pub const MAX_MINUTES: i32 = 720;

/// An invitation to a partner to take a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Id.
    pub id: OfferId,
    /// The case; partition key of every event about the offer.
    pub case_id: Uuid,
    /// The partner.
    pub org_id: Uuid,
    /// `invitation` or `work_order`.
    pub mode: String,
    /// State.
    pub state: OfferState,
    /// The matter.
    pub item_code: String,
    /// Where.
    pub place_unit_id: Option<Uuid>,
    /// Skills asked for.
    pub skill_codes: Vec<String>,
    /// case-routing's deadline.
    pub due_at: Timestamp,
    /// Volunteers, best first.
    pub candidates: Vec<Candidate>,
    /// Who does it.
    pub volunteer_id: Option<VolunteerId>,
    /// The person behind the volunteer, so that the volunteer reaches the own offer.
    pub volunteer_person: Option<Uuid>,
    /// Pseudonym of the volunteer.
    pub volunteer_ref: String,
    /// Volunteers who said no to it; none of them is named again.
    pub stepped_back: Vec<VolunteerId>,
    /// The live record, if any.
    pub record: Option<Record>,
    /// When its case was closed; hours are neither added nor taken back any more.
    pub closed_at: Option<Timestamp>,
    /// Version of the row.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Offer {
    /// The offer after a verb, with a new version.
    ///
    /// # Errors
    /// `WrongState` where the verb is not allowed.
    pub fn turn(&self, verb: Verb, now: Timestamp) -> Result<Self> {
        let state = self.state.after(verb).ok_or_else(|| {
            let message = format!("{} is not possible when {}", verb.as_str(), self.state.as_str());
            Error::wrong_state("offer", self.id.to_string(), message)
        })?;
        Ok(Self { state, version: self.version + 1, updated_at: now, ..self.clone() })
    }

    /// The deadline moved later; `None` when that changes nothing.
    #[must_use]
    pub fn deferred(&self, due_at: Timestamp, now: Timestamp) -> Option<Self> {
        let later = self.state == OfferState::Offered && due_at > self.due_at;
        later.then(|| Self { due_at, version: self.version + 1, updated_at: now, ..self.clone() })
    }

    /// The partner accepts before the deadline.
    ///
    /// # Errors
    /// `WrongState` after the deadline or in another state.
    pub fn accept(&self, now: Timestamp) -> Result<Self> {
        if now > self.due_at && self.state == OfferState::Offered {
            return Err(Error::wrong_state("offer", self.id.to_string(), "the deadline has passed"));
        }
        self.turn(Verb::Accept, now)
    }

    /// Who does it from now on: a volunteer, or the organisation itself.
    pub fn entrust(&mut self, volunteer: Option<&Volunteer>) {
        self.volunteer_id = volunteer.map(|volunteer| volunteer.id);
        self.volunteer_person = volunteer.map(|volunteer| volunteer.person_id);
        self.volunteer_ref = volunteer.map(|volunteer| volunteer.volunteer_ref.clone()).unwrap_or_default();
    }

    /// The volunteer says no after all. The organisation stays bound: it names another, or does the work itself.
    ///
    /// # Errors
    /// `WrongState` unless accepted or confirmed.
    pub fn step_back(&self, now: Timestamp) -> Result<Self> {
        let mut offer = self.turn(Verb::StepBack, now)?;
        offer.stepped_back.extend(offer.volunteer_id);
        offer.entrust(None);
        Ok(offer)
    }

    /// Whether its case was completed without the partner's word: hours may be added until the case is closed.
    pub fn awaits_hours(&self) -> bool {
        self.state == OfferState::Completed && self.record.is_none() && self.closed_at.is_none()
    }

    /// The partner says the work is done, or adds the hours of what was settled without its word; they are drafted, and count
    /// once the case is closed.
    ///
    /// # Errors
    /// `Invalid` for minutes out of range, `WrongState` in another state.
    pub fn complete(&self, record_id: RecordId, minutes: i32, now: Timestamp) -> Result<Self> {
        if !(1..=MAX_MINUTES).contains(&minutes) {
            return Err(Error::invalid("minutes", format!("1 to {MAX_MINUTES}, without travel")));
        }
        let verb = if self.awaits_hours() { Verb::AddHours } else { Verb::Complete };
        let mut offer = self.turn(verb, now)?;
        offer.record = Some(Record {
            id: record_id,
            minutes,
            state: RecordState::Drafted,
            started_at: now - chrono::Duration::minutes(i64::from(minutes)),
            ended_at: now,
        });
        Ok(offer)
    }

    /// The work goes back: the hours drafted for it do not count, new ones will be.
    ///
    /// # Errors
    /// `WrongState` unless completed, and once the case is closed: a reopened one goes to the public service.
    pub fn rework(&self, now: Timestamp) -> Result<Self> {
        if self.is_closed() {
            return Err(Error::wrong_state("offer", self.id.to_string(), "its case is closed"));
        }
        let mut offer = self.turn(Verb::Rework, now)?;
        offer.void_record();
        Ok(offer)
    }

    /// case-routing takes it back; hours that are not locked yet do not count.
    ///
    /// # Errors
    /// `WrongState` once it has ended.
    pub fn withdraw(&self, verb: Verb, now: Timestamp) -> Result<Self> {
        let mut offer = self.turn(verb, now)?;
        offer.void_record();
        Ok(offer)
    }

    /// Whether the partner had said by then that the work is done.
    #[must_use]
    pub fn was_done_by(&self, at: Timestamp) -> bool {
        let done_at = self.record.as_ref().map(|record| record.ended_at);
        self.state == OfferState::Completed && done_at.is_some_and(|done_at| done_at <= at)
    }

    /// Whether its hours are of work that was done after that.
    #[must_use]
    pub fn has_hours_since(&self, at: Timestamp) -> bool {
        let drafted = self.record.as_ref().filter(|record| record.state == RecordState::Drafted);
        drafted.is_some_and(|record| record.ended_at > at)
    }

    /// The case was verified by a third organisation and closed: drafted hours count for good, and none are added any more.
    /// `None` where that changes nothing.
    pub fn close(&self, now: Timestamp) -> Option<Self> {
        if self.is_closed() {
            return None;
        }
        let mut offer = self.turn(Verb::Close, now).ok()?;
        offer.closed_at = Some(now);
        if let Some(record) = offer.record.as_mut().filter(|record| record.state == RecordState::Drafted) {
            record.state = RecordState::Locked;
        }
        Some(offer)
    }

    /// Whether there are hours that count for good.
    pub fn has_locked_hours(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.state == RecordState::Locked)
    }

    /// Earlier builds noted of a closed case only that the hours count.
    fn is_closed(&self) -> bool {
        self.closed_at.is_some() || self.has_locked_hours()
    }

    fn void_record(&mut self) {
        if let Some(record) = &mut self.record
            && record.state != RecordState::Locked
        {
            record.state = RecordState::Voided;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::VolunteerState;

    fn offer(state: OfferState) -> Offer {
        let now = Timestamp::UNIX_EPOCH;
        Offer {
            id: OfferId(Uuid::from_u128(1)),
            case_id: Uuid::from_u128(2),
            org_id: Uuid::from_u128(3),
            mode: "invitation".into(),
            state,
            item_code: "CJ-0142".into(),
            place_unit_id: None,
            skill_codes: Vec::new(),
            due_at: now + chrono::Duration::hours(1),
            candidates: Vec::new(),
            volunteer_id: None,
            volunteer_person: None,
            volunteer_ref: String::new(),
            stepped_back: Vec::new(),
            record: None,
            closed_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Every pair of state and verb; what is not listed is refused.
    #[test]
    fn only_the_listed_transitions_are_allowed() {
        use OfferState as S;
        let allowed = [
            (S::Offered, Verb::Accept, S::Accepted),
            (S::Offered, Verb::Decline, S::Declined),
            (S::Offered, Verb::Expire, S::Expired),
            (S::Offered, Verb::Withdraw, S::Withdrawn),
            (S::Accepted, Verb::Confirm, S::Confirmed),
            (S::Accepted, Verb::Expire, S::Expired),
            (S::Accepted, Verb::Withdraw, S::Withdrawn),
            (S::Accepted, Verb::Name, S::Accepted),
            (S::Accepted, Verb::StepBack, S::Accepted),
            (S::Confirmed, Verb::Name, S::Confirmed),
            (S::Confirmed, Verb::StepBack, S::Confirmed),
            (S::Confirmed, Verb::GiveUp, S::GivenUp),
            (S::Confirmed, Verb::Complete, S::Completed),
            (S::Confirmed, Verb::Settle, S::Completed),
            (S::Confirmed, Verb::Close, S::Completed),
            (S::Confirmed, Verb::Withdraw, S::Withdrawn),
            (S::Completed, Verb::AddHours, S::Completed),
            (S::Completed, Verb::Close, S::Completed),
            (S::Completed, Verb::Rework, S::Confirmed),
            (S::Completed, Verb::Withdraw, S::Withdrawn),
        ];
        for state in S::ALL {
            for verb in Verb::ALL {
                let expected = allowed.iter().find(|(from, by, _)| from == state && by == verb);
                let turned = offer(*state).turn(*verb, Timestamp::UNIX_EPOCH);
                match expected {
                    Some((_, _, to)) => assert_eq!(turned.expect("allowed").state, *to),
                    None => assert!(
                        matches!(turned, Err(Error::WrongState { .. })),
                        "{} when {}",
                        verb.as_str(),
                        state.as_str()
                    ),
                }
            }
        }
    }

    #[test]
    fn an_acceptance_after_the_deadline_is_refused() {
        let offer = offer(OfferState::Offered);
        assert!(offer.accept(offer.due_at).is_ok());
        assert!(offer.accept(offer.due_at + chrono::Duration::seconds(1)).is_err());
    }

    #[test]
    fn only_an_open_offer_is_deferred_and_only_to_later() {
        let open = offer(OfferState::Offered);
        let later = open.due_at + chrono::Duration::days(3);
        let deferred = open.deferred(later, open.created_at).unwrap();
        assert_eq!((deferred.due_at, deferred.version), (later, open.version + 1));
        assert!(deferred.accept(later).is_ok());
        assert!(deferred.deferred(open.due_at, open.created_at).is_none());
        assert!(offer(OfferState::Accepted).deferred(later, open.created_at).is_none());
    }

    #[test]
    fn hours_count_once_the_case_is_closed_and_rework_voids_them() {
        let now = Timestamp::UNIX_EPOCH + chrono::Duration::days(1);
        let done =
            offer(OfferState::Confirmed).complete(RecordId(Uuid::from_u128(9)), 60, now).expect("done");
        assert_eq!(done.record.as_ref().map(|record| record.state), Some(RecordState::Drafted));
        let again = done.rework(now).expect("back");
        assert_eq!(again.record.as_ref().map(|record| record.state), Some(RecordState::Voided));
        let locked = done.close(now).expect("locked");
        assert_eq!(locked.record.as_ref().map(|record| record.state), Some(RecordState::Locked));
        assert!(locked.close(now).is_none(), "a second close changes nothing");
        let earlier = Offer { closed_at: None, ..locked.clone() };
        assert!(earlier.close(now).is_none() && earlier.rework(now).is_err(), "as earlier builds left it");
        assert!(locked.rework(now).is_err(), "a second record would count the hours twice");
        let withdrawn = locked.withdraw(Verb::Withdraw, now).expect("withdrawn");
        assert_eq!(
            withdrawn.record.map(|record| record.state),
            Some(RecordState::Locked),
            "locked hours stay"
        );
    }

    #[test]
    fn what_was_settled_without_the_partners_word_takes_its_hours_once_until_the_case_is_closed() {
        let now = Timestamp::UNIX_EPOCH + chrono::Duration::days(1);
        let hours = |offer: &Offer| offer.complete(RecordId(Uuid::from_u128(9)), 60, now);
        let settled = offer(OfferState::Confirmed).turn(Verb::Settle, now).expect("settled");
        assert!(settled.awaits_hours() && !settled.state.is_open());
        let added = hours(&settled).expect("added");
        assert_eq!((added.state, added.awaits_hours()), (OfferState::Completed, false));
        assert!(hours(&added).is_err(), "once");
        assert!(added.close(now).expect("closed").has_locked_hours());
        assert_eq!(settled.rework(now).expect("back").state, OfferState::Confirmed);
        for open in [settled, offer(OfferState::Confirmed)] {
            let closed = open.close(now).expect("closed");
            assert_eq!((closed.state, closed.record.as_ref()), (OfferState::Completed, None));
            assert!(!closed.awaits_hours() && hours(&closed).is_err() && closed.rework(now).is_err());
            assert!(closed.close(now).is_none());
        }
        assert!(offer(OfferState::GivenUp).close(now).is_none(), "it is not the partner's");
    }

    #[test]
    fn what_was_done_is_known_by_its_time_until_it_goes_back() {
        let now = Timestamp::UNIX_EPOCH + chrono::Duration::days(1);
        let before = now - chrono::Duration::seconds(1);
        let confirmed = offer(OfferState::Confirmed);
        assert!(!confirmed.was_done_by(now));
        let done = confirmed.complete(RecordId(Uuid::from_u128(9)), 60, now).expect("done");
        assert_eq!((done.was_done_by(now), done.was_done_by(before)), (true, false));
        assert!(!done.rework(now).expect("back").was_done_by(now));
    }

    #[test]
    fn who_steps_back_is_remembered_and_the_offer_stays_as_it_is() {
        let now = Timestamp::UNIX_EPOCH + chrono::Duration::days(1);
        let volunteer = Volunteer {
            id: VolunteerId(Uuid::from_u128(4)),
            person_id: Uuid::from_u128(5),
            volunteer_ref: "v".into(),
            org_id: Uuid::from_u128(3),
            home_unit_id: None,
            skill_codes: None,
            state: VolunteerState::Active,
            locked_minutes: 0,
            open_offers: 0,
        };
        for state in [OfferState::Accepted, OfferState::Confirmed] {
            let mut named = offer(state);
            named.entrust(Some(&volunteer));
            let left = named.step_back(now).expect("always");
            let stepped_back = vec![volunteer.id];
            assert_eq!(left, Offer { stepped_back, version: 2, updated_at: now, ..offer(state) });
        }
    }

    #[test]
    fn minutes_out_of_range_are_refused_by_name() {
        for minutes in [0, -5, MAX_MINUTES + 1] {
            let refused =
                offer(OfferState::Confirmed).complete(RecordId(Uuid::nil()), minutes, Timestamp::UNIX_EPOCH);
            assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "minutes"));
        }
    }
}
