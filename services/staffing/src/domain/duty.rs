//! Money and posts that follow a duty: asked for by a transfer, met or refused by people, given back when the transfer is
//! rolled back. Every step may come twice; what comes for a transfer that is over changes nothing.

use std::collections::BTreeMap;

use chassis::{Error, Result, Timestamp};
use uuid::Uuid;

use super::{OrgId, Post, PostKind, PostState};

/// Name of the kind in errors.
pub const KIND: &str = "duty_demand";
/// Name of the kind of fund lines in errors.
pub const FUND_LINE: &str = "fund_line";

/// Where the money or the posts stand; the numbers are those of the proto and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    /// Nobody has decided.
    Asked = 1,
    /// Money allotted, posts named.
    Met = 2,
    /// Refused, or taken back before the transfer took effect.
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
    /// Which, while they are met.
    pub post_ids: Vec<Uuid>,
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

    /// Posts are named: of the new holder, each with somebody on it, as many of each kind as asked for.
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

    /// There is nobody, or no longer.
    ///
    /// # Errors
    /// `WrongState` when it is said already, and when the transfer took effect or is over.
    pub fn refuse_staff(mut self) -> Result<(Self, Returned)> {
        self.may_refuse(self.staff)?;
        self.staff = LegState::Refused;
        let returned = Returned { fund_line_id: None, post_ids: std::mem::take(&mut self.post_ids) };
        Ok((self.changed(), returned))
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
        if self.staff == LegState::Met {
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{PostId, UnitId};

    const HOLDER: OrgId = OrgId(Uuid::from_u128(3));

    fn asked() -> Demand {
        Demand {
            transfer_id: Uuid::from_u128(1),
            from_org_id: OrgId(Uuid::from_u128(2)),
            to_org_id: HOLDER,
            line: None,
            fund_fen: 100,
            needs: vec![(PostKind::ServiceWorker, 2)],
            deadline: Timestamp::from_timestamp(1_772_413_200, 0).unwrap(),
            funds: LegState::Asked,
            fund_line_id: None,
            staff: LegState::Asked,
            post_ids: vec![],
            effective: false,
            closed: false,
            version: 1,
        }
    }

    fn line(budget_fen: i64) -> FundLine {
        FundLine {
            id: Uuid::from_u128(9),
            code: "line-1".into(),
            org_id: HOLDER,
            budget_fen,
            allotted_fen: 0,
        }
    }

    fn post(id: u128, kind: PostKind) -> Post {
        Post {
            id: PostId(Uuid::from_u128(id)),
            number: id.to_string(),
            kind,
            org_id: HOLDER,
            unit_id: UnitId(Uuid::from_u128(4)),
            line: None,
            template: String::new(),
            state: PostState::Filled,
            daily_minutes: 480,
            max_open: 10,
        }
    }

    fn two() -> [Post; 2] {
        [post(11, PostKind::ServiceWorker), post(12, PostKind::ServiceWorker)]
    }

    #[test]
    fn a_line_is_never_overspent() {
        let (demand, after) = asked().allot(line(150)).unwrap();
        assert_eq!((after.allotted_fen, demand.fund_line_id), (100, Some(line(1).id)));
        assert!(asked().allot(after.clone()).is_err(), "only 50 are left");
        assert!(demand.allot(line(1_000)).is_err(), "allotted already");
        assert_eq!(after.take_back(100).unwrap().allotted_fen, 0);
    }

    #[test]
    fn posts_are_of_the_holder_filled_and_as_many_as_asked() {
        assert!(asked().assign(&two()).is_ok());
        assert!(asked().assign(&two()[..1]).is_err());
        assert!(asked().assign(&[two()[0].clone(), post(13, PostKind::StationHead)]).is_err());
        let vacant = Post { state: PostState::Vacant, ..post(13, PostKind::ServiceWorker) };
        assert!(asked().assign(&[two()[0].clone(), vacant]).is_err());
        let elsewhere = Post { org_id: OrgId(Uuid::from_u128(7)), ..post(13, PostKind::ServiceWorker) };
        let refused = asked().assign(&[two()[0].clone(), elsewhere]);
        assert!(matches!(refused, Err(Error::NotFound { .. })));
    }

    #[test]
    fn what_was_met_is_given_back_once_and_nothing_moves_afterwards() {
        let (met, _) = asked().assign(&two()).unwrap().allot(line(100)).unwrap();
        let effective = met.clone().take_effect().unwrap();
        assert!(effective.clone().refuse_funds().is_err() && effective.clone().refuse_staff().is_err());
        assert!(effective.clone().take_effect().is_none());
        let posts: Vec<Uuid> = two().iter().map(|post| post.id.0).collect();

        let (over, returned) = met.clone().close(true).unwrap();
        assert_eq!(returned, Returned { fund_line_id: Some(line(1).id), post_ids: posts.clone() });
        assert!(over.clone().close(true).is_none() && over.clone().take_effect().is_none());
        assert!(over.clone().allot(line(100)).is_err() && over.clone().assign(&two()).is_err());
        assert!(over.clone().refuse_funds().is_err() && over.refuse_staff().is_err());

        let (ended, returned) = effective.close(false).unwrap();
        assert_eq!(returned, Returned { fund_line_id: None, post_ids: posts });
        assert_eq!(ended.funds, LegState::Met, "what was paid stays paid");
        assert_eq!(asked().close(true).unwrap().1, Returned::default());
    }

    proptest! {
        /// Whatever is done in whatever order, the line holds exactly what demands that are met hold of it.
        #[test]
        fn a_line_holds_what_its_demands_hold(steps in prop::collection::vec((0_usize..3, 0_u8..4), 1..60)) {
            let mut fund = line(250);
            let mut demands = [asked(), asked(), asked()];
            for (which, step) in steps {
                let demand = demands[which].clone();
                let (next, returned) = match step {
                    0 => match demand.allot(fund.clone()) {
                        Ok((next, after)) => {
                            fund = after;
                            (next, Returned::default())
                        }
                        Err(_) => continue,
                    },
                    1 => match demand.refuse_funds() {
                        Ok(done) => done,
                        Err(_) => continue,
                    },
                    2 => match demand.close(true) {
                        Some(done) => done,
                        None => continue,
                    },
                    _ => (asked(), Returned {
                        // A new transfer takes the place of one that is over.
                        fund_line_id: demand.fund_line_id.filter(|_| demand.funds == LegState::Met),
                        post_ids: vec![],
                    }),
                };
                if returned.fund_line_id.is_some() {
                    fund = fund.take_back(100).unwrap();
                }
                demands[which] = next;
                let held = demands.iter().filter(|demand| demand.funds == LegState::Met).count();
                prop_assert_eq!(fund.allotted_fen, 100 * i64::try_from(held).unwrap());
                prop_assert!(fund.allotted_fen <= fund.budget_fen);
            }
        }
    }
}
