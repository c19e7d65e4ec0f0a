//! Money, posts and training that follow a duty: asked for by a transfer, met or refused by people, given back when the transfer
//! is rolled back. Every step may come twice; what comes for a transfer that is over changes nothing.

use std::collections::BTreeMap;

use chassis::{Error, Result, Timestamp};
use uuid::Uuid;

use super::{OrgId, Post, PostKind, PostState};

/// Name of the kind in errors.
pub const KIND: &str = "duty_demand";
/// Name of the kind of fund lines in errors.
pub const FUND_LINE: &str = "fund_line";

/// Where the money, the posts or the courses stand; the numbers are those of the proto and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    /// Nobody has decided.
    Asked = 1,
    /// Money allotted, posts named, courses done.
    Met = 2,
    /// Refused, or taken back before the transfer took effect; of posts also while one of those named is vacant afterwards.
    Refused = 3,
    /// Was met, and given back.
    Returned = 4,
}

impl LegState {
    /// Of its number.
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Asked, Self::Met, Self::Refused, Self::Returned]
            .into_iter()
            .find(|state| *state as i16 == number)
    }
}

/// Money that may be allotted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundLine {
    /// Id.
    pub id: Uuid,
    /// Code, unique.
    pub code: String,
    /// Whose money it is.
    pub org_id: OrgId,
    /// In fen.
    pub budget_fen: i64,
    /// In fen; never above the budget.
    pub allotted_fen: i64,
}

impl FundLine {
    /// Sets an amount aside.
    ///
    /// # Errors
    /// `WrongState` when less is left.
    pub fn allot(mut self, amount_fen: i64) -> Result<Self> {
        if self.budget_fen - self.allotted_fen < amount_fen {
            return Err(Error::wrong_state(FUND_LINE, self.id, "has less left than is asked for"));
        }
        self.allotted_fen += amount_fen;
        Ok(self)
    }

    /// Takes an amount that was set aside back.
    ///
    /// # Errors
    /// `Internal` when it was not set aside.
    pub fn take_back(mut self, amount_fen: i64) -> Result<Self> {
        if self.allotted_fen < amount_fen {
            return Err(Error::internal("more comes back to a fund line than was allotted"));
        }
        self.allotted_fen -= amount_fen;
        Ok(self)
    }
}

/// What a transfer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The transfer.
    pub transfer_id: Uuid,
    /// The department.
    pub from_org_id: OrgId,
    /// Who is to lead.
    pub to_org_id: OrgId,
    /// The department's line.
    pub line: Option<String>,
    /// In fen.
    pub fund_fen: i64,
    /// How many posts of each kind.
    pub needs: Vec<(PostKind, i32)>,
    /// Until when it counts.
    pub deadline: Timestamp,
    /// The money.
    pub funds: LegState,
    /// Against which line, while it is met.
    pub fund_line_id: Option<Uuid>,
    /// The posts.
    pub staff: LegState,
    /// Which, while they are met, and while one of them is vacant after the transfer took effect.
    pub post_ids: Vec<Uuid>,
    /// Courses that those on the posts are to have done.
    pub training_codes: Vec<String>,
    /// The courses; left at `Asked` where there are none.
    pub training: LegState,
    /// Of the record of the courses, while they are done.
    pub training_ref: String,
    /// The transfer took effect.
    pub effective: bool,
    /// The transfer is over.
    pub closed: bool,
    /// Grows with each change.
    pub version: i64,
}

/// What is given back when a demand is refused or closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// The fund line to which the money goes back.
    pub fund_line_id: Option<Uuid>,
    /// Posts that are free again.
    pub post_ids: Vec<Uuid>,
}

impl Demand {
    fn wrong(&self, why: &str) -> Error {
        Error::wrong_state(KIND, self.transfer_id, why)
    }

    fn open(&self) -> Result<()> {
        if self.closed { Err(self.wrong("the transfer is over")) } else { Ok(()) }
    }

    fn may_refuse(&self, leg: LegState) -> Result<()> {
        self.open()?;
        if self.effective {
            return Err(self.wrong("the transfer took effect; suspend or end it"));
        }
        if leg == LegState::Refused { Err(self.wrong("is refused already")) } else { Ok(()) }
    }

    fn changed(mut self) -> Self {
        self.version += 1;
        self
    }

    /// The money is allotted.
    ///
    /// # Errors
    /// `WrongState` when it is already, when the line has less left, and when the transfer is over.
    pub fn allot(mut self, line: FundLine) -> Result<(Self, FundLine)> {
        self.open()?;
        if self.funds == LegState::Met {
            return Err(self.wrong("the money is allotted already"));
        }
        let line = line.allot(self.fund_fen)?;
        self.funds = LegState::Met;
        self.fund_line_id = Some(line.id);
        Ok((self.changed(), line))
    }

    /// The money is refused, or taken back.
    ///
    /// # Errors
    /// `WrongState` when it is refused already, and when the transfer took effect or is over.
    pub fn refuse_funds(mut self) -> Result<(Self, Returned)> {
        self.may_refuse(self.funds)?;
        self.funds = LegState::Refused;
        let returned = Returned { fund_line_id: self.fund_line_id.take(), post_ids: Vec::new() };
        Ok((self.changed(), returned))
    }

    /// Posts are named, others perhaps than before: of the new holder, each with somebody on it, as many of each kind as asked
    /// for.
    ///
    /// # Errors
    /// `WrongState` when they are already, for a post that is not filled, for other numbers, and when the transfer is over;
    /// `NotFound` for a post of another organisation.
    pub fn assign(mut self, posts: &[Post]) -> Result<Self> {
        self.open()?;
        if self.staff == LegState::Met {
            return Err(self.wrong("posts are named already"));
        }
        let mut found: BTreeMap<i32, i32> = BTreeMap::new();
        for post in posts {
            if post.org_id != self.to_org_id {
                return Err(Error::not_found("post", post.id));
            }
            if post.state != PostState::Filled {
                return Err(Error::wrong_state("post", post.id, "nobody is on it"));
            }
            *found.entry(post.kind as i32).or_default() += 1;
        }
        let asked: BTreeMap<i32, i32> =
            self.needs.iter().map(|(kind, count)| (*kind as i32, *count)).collect();
        if found != asked {
            return Err(self.wrong("other kinds or numbers of posts are asked for"));
        }
        self.staff = LegState::Met;
        self.post_ids = posts.iter().map(|post| post.id.0).collect();
        Ok(self.changed())
    }

    /// Those on the posts have done the courses.
    ///
    /// # Errors
    /// `WrongState` when none are asked for, when nobody is named, when it is said already, and when the transfer is over.
    pub fn train(mut self, record_ref: &str) -> Result<Self> {
        self.open()?;
        if self.training_codes.is_empty() {
            return Err(self.wrong("no courses are asked for"));
        }
        if self.staff != LegState::Met {
            return Err(self.wrong("posts are named first"));
        }
        if self.training == LegState::Met {
            return Err(self.wrong("the courses are done already"));
        }
        self.training = LegState::Met;
        self.training_ref = record_ref.to_owned();
        Ok(self.changed())
    }

    /// The courses are refused, or were not done after all.
    ///
    /// # Errors
    /// `WrongState` when none are asked for, when it is said already, and when the transfer took effect or is over.
    pub fn refuse_training(mut self) -> Result<Self> {
        self.may_refuse(self.training)?;
        if self.training_codes.is_empty() {
            return Err(self.wrong("no courses are asked for"));
        }
        self.training = LegState::Refused;
        self.training_ref.clear();
        Ok(self.changed())
    }

    /// There is nobody, or no longer. Whoever comes instead has the courses still to do.
    ///
    /// # Errors
    /// `WrongState` when it is said already, and when the transfer took effect or is over.
    pub fn refuse_staff(self) -> Result<(Self, Returned)> {
        self.may_refuse(self.staff)?;
        let mut next = self.without_staff();
        let returned = Returned { fund_line_id: None, post_ids: std::mem::take(&mut next.post_ids) };
        Ok((next.changed(), returned))
    }

    fn without_staff(mut self) -> Self {
        self.staff = LegState::Refused;
        self.training = LegState::Asked;
        self.training_ref.clear();
        self
    }

    /// A named post fell vacant. Before the transfer takes effect its posts are free with that; afterwards they stay named, and
    /// wait for somebody on each ([`held_again`](Self::held_again)) or for others to be named. `None`: it is known, or over.
    pub fn vacated(self) -> Option<(Self, Returned)> {
        if self.closed || self.staff != LegState::Met {
            return None;
        }
        let mut next = self.without_staff();
        let post_ids = if next.effective { Vec::new() } else { std::mem::take(&mut next.post_ids) };
        Some((next.changed(), Returned { fund_line_id: None, post_ids }))
    }

    /// There is somebody on the named posts again, as many of each kind as are told. `None`: not on all of them yet, none is
    /// waited for, or the transfer is over.
    pub fn held_again(mut self, filled: &[(PostKind, i32)]) -> Option<Self> {
        let waits = self.effective && !self.closed && self.staff == LegState::Refused;
        let held: i32 = filled.iter().map(|(_, count)| *count).sum();
        let all = usize::try_from(held).is_ok_and(|held| held >= self.post_ids.len());
        if !waits || self.post_ids.is_empty() || !all {
            return None;
        }
        self.staff = LegState::Met;
        Some(self.changed())
    }

    /// The transfer took effect. `None`: known, or over.
    pub fn take_effect(mut self) -> Option<Self> {
        if self.effective || self.closed {
            return None;
        }
        self.effective = true;
        Some(self.changed())
    }

    /// The transfer was rolled back (everything is given back) or ended (the posts are; what was paid stays paid). `None`:
    /// known.
    pub fn close(mut self, rolled_back: bool) -> Option<(Self, Returned)> {
        if self.closed {
            return None;
        }
        let mut returned = Returned::default();
        if !self.post_ids.is_empty() {
            self.staff = LegState::Returned;
            returned.post_ids.clone_from(&self.post_ids);
        }
        if rolled_back && self.funds == LegState::Met {
            self.funds = LegState::Returned;
            returned.fund_line_id = self.fund_line_id;
        }
        self.closed = true;
        Some((self.changed(), returned))
    }
}

#[cfg(test)]
mod tests;
