//! Authority that follows a duty: asked for by a transfer, granted or refused by people, ended with the transfer. Every step
//! may come twice; what comes for a transfer that is over changes nothing.

use chassis::{Error, Result, Timestamp};
use uuid::Uuid;

/// Name of the kind in errors.
pub const KIND: &str = "duty_authority";

/// Where it stands; the numbers are those of the proto and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityState {
    /// Nobody has decided.
    Asked = 1,
    /// The new holder has the authority, from the day of the transfer.
    Granted = 2,
    /// Refused, or taken back before the transfer took effect.
    Refused = 3,
    /// Was granted, and ended with the transfer.
    Withdrawn = 4,
}

impl AuthorityState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Asked, Self::Granted, Self::Refused, Self::Withdrawn];

    /// Of its number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == number)
    }
}

/// Authority over items of a department for an organisation that is to lead them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DutyAuthority {
    /// The transfer that asks for it.
    pub transfer_id: Uuid,
    /// Where it stands.
    pub state: AuthorityState,
    /// The department.
    pub from_org_id: Uuid,
    /// Who is to lead.
    pub to_org_id: Uuid,
    /// The department's line.
    pub line: Option<String>,
    /// The items.
    pub item_codes: Vec<String>,
    /// Pseudonym of who proposed the transfer.
    pub proposed_by: String,
    /// The document that grants it; empty before.
    pub basis_ref: String,
    /// Why it was refused or ended.
    pub reason_code: String,
    /// Pseudonym of who decided.
    pub decided_by: String,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// The transfer took effect.
    pub effective: bool,
    /// The transfer is over.
    pub closed: bool,
    /// Grows with each change.
    pub version: i64,
}

impl DutyAuthority {
    fn open(&self) -> Result<()> {
        if self.closed {
            Err(Error::wrong_state(KIND, self.transfer_id, "the transfer is over"))
        } else {
            Ok(())
        }
    }

    /// Grants it.
    ///
    /// # Errors
    /// `WrongState` when the transfer is over, it is granted already, or for whoever proposed the transfer.
    pub fn grant(mut self, basis_ref: &str, by: &str, now: Timestamp) -> Result<Self> {
        self.open()?;
        if self.state == AuthorityState::Granted {
            return Err(Error::wrong_state(KIND, self.transfer_id, "is granted already"));
        }
        if self.proposed_by == by {
            let why = "whoever proposed the transfer does not grant the authority for it";
            return Err(Error::wrong_state(KIND, self.transfer_id, why));
        }
        self.state = AuthorityState::Granted;
        (self.basis_ref, self.reason_code) = (basis_ref.to_owned(), String::new());
        Ok(self.decided(by, now))
    }

    /// Refuses it, or takes it back before the transfer takes effect.
    ///
    /// # Errors
    /// `WrongState` when the transfer took effect or is over, or it is refused already.
    pub fn refuse(mut self, reason_code: &str, by: &str, now: Timestamp) -> Result<Self> {
        self.open()?;
        if self.effective {
            let why = "the transfer took effect; suspend or end it";
            return Err(Error::wrong_state(KIND, self.transfer_id, why));
        }
        if self.state == AuthorityState::Refused {
            return Err(Error::wrong_state(KIND, self.transfer_id, "is refused already"));
        }
        self.state = AuthorityState::Refused;
        (self.basis_ref, self.reason_code) = (String::new(), reason_code.to_owned());
        Ok(self.decided(by, now))
    }

    fn decided(mut self, by: &str, now: Timestamp) -> Self {
        (self.decided_by, self.decided_at) = (by.to_owned(), Some(now));
        self.version += 1;
        self
    }

    /// The transfer took effect. `None`: known, or over.
    pub fn take_effect(mut self) -> Option<Self> {
        if self.effective || self.closed {
            return None;
        }
        self.effective = true;
        self.version += 1;
        Some(self)
    }

    /// The transfer is over: what was granted ends, which the answer says. `None`: known.
    pub fn close(mut self, reason_code: &str) -> Option<(Self, bool)> {
        if self.closed {
            return None;
        }
        let held = self.state == AuthorityState::Granted;
        if held {
            self.state = AuthorityState::Withdrawn;
            reason_code.clone_into(&mut self.reason_code);
        }
        self.closed = true;
        self.version += 1;
        Some((self, held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> DutyAuthority {
        DutyAuthority {
            transfer_id: Uuid::from_u128(1),
            state: AuthorityState::Asked,
            from_org_id: Uuid::from_u128(2),
            to_org_id: Uuid::from_u128(3),
            line: None,
            item_codes: vec!["X-1".to_owned()],
            proposed_by: "p-leader".to_owned(),
            basis_ref: String::new(),
            reason_code: String::new(),
            decided_by: String::new(),
            decided_at: None,
            effective: false,
            closed: false,
            version: 1,
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_timestamp(1_772_413_200, 0).unwrap()
    }

    #[test]
    fn every_step_from_every_standing_does_what_the_table_says() {
        use AuthorityState::{Asked, Granted, Refused, Withdrawn};
        // State, effective, closed → after grant, after refusal, after closing.
        let table = [
            (Asked, false, false, Some(Granted), Some(Refused), Some(Asked)),
            (Granted, false, false, None, Some(Refused), Some(Withdrawn)),
            (Refused, false, false, Some(Granted), None, Some(Refused)),
            (Asked, true, false, Some(Granted), None, Some(Asked)),
            (Granted, true, false, None, None, Some(Withdrawn)),
            (Refused, true, false, Some(Granted), None, Some(Refused)),
            (Asked, false, true, None, None, None),
            (Refused, false, true, None, None, None),
            (Withdrawn, true, true, None, None, None),
        ];
        for (state, effective, closed, grant, refusal, close) in table {
            let at = || DutyAuthority { state, effective, closed, ..asked() };
            let what = format!("{state:?} effective={effective} closed={closed}");
            assert_eq!(at().grant("doc:1", "p-other", now()).ok().map(|a| a.state), grant, "{what}");
            assert_eq!(at().refuse("no", "p-other", now()).ok().map(|a| a.state), refusal, "{what}");
            let closing = at().close("rolled_back");
            assert_eq!(closing.as_ref().map(|(after, _)| after.state), close, "{what}");
            if let Some((after, held)) = closing {
                assert_eq!(held, state == Granted, "{what}");
                assert_eq!(after.close("rolled_back"), None, "{what}: twice");
            }
            let effect = at().take_effect();
            assert_eq!(effect.is_some(), !effective && !closed, "{what}");
        }
    }

    #[test]
    fn whoever_proposed_it_does_not_grant_it() {
        assert!(asked().grant("doc:1", "p-leader", now()).is_err());
        assert!(asked().refuse("no", "p-leader", now()).is_ok(), "but may well refuse");
    }
}
