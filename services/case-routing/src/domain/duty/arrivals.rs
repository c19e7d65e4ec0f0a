//! The five arrivals (五个到社区): whether staff, tasks, the service promise and money have come to the holder with a duty that is
//! in force. The fifth, what residents think of it, is no fact of the duty: it is counted where cases are.

use calendar::Limit;
use chrono::NaiveDate;

use super::{AdmissionState, DutyTransfer, LegKind, TaskAdmission, TransferState};
use crate::domain::error::{DomainError, Result};

/// Whether one of the five has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalState {
    Arrived,
    NotYet,
    /// Nothing tells.
    Unknown,
}

/// How one of the five stands; the reason is empty where it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    pub state: ArrivalState,
    pub reason_code: &'static str,
}

impl Arrival {
    const ARRIVED: Self = Self { state: ArrivalState::Arrived, reason_code: "" };

    const fn not_yet(reason_code: &'static str) -> Self {
        Self { state: ArrivalState::NotYet, reason_code }
    }

    /// Of what an admission promises: nobody is asked to confirm it, so whether it came is recorded nowhere.
    const fn of_promise(promised: bool) -> Self {
        if promised {
            Self { state: ArrivalState::Unknown, reason_code: "not_recorded" }
        } else {
            Self::not_yet("none_promised")
        }
    }

    /// Of legs of a transfer: there when those that it waits for are confirmed.
    fn of_legs(duty: &DutyTransfer, kinds: &[LegKind]) -> Self {
        let confirmed = |kind: &LegKind| !duty.needs(*kind) || duty.legs.get(*kind).is_confirmed();
        if kinds.iter().all(confirmed) { Self::ARRIVED } else { Self::not_yet("not_confirmed") }
    }
}

/// One item of a duty, as the list and the catalogue in force have it for the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemStanding {
    pub item: String,
    /// First day of the entry that names the holder by this duty now; `None`: none does.
    pub listed_from: Option<NaiveDate>,
    /// 承诺时限; `None`: no new case can be of the item.
    pub promised: Option<Limit>,
    /// 法定时限
    pub statutory: Option<Limit>,
}

/// What the duty itself, the list and the catalogue tell of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrivals {
    /// 人员到社区
    pub staff: Arrival,
    /// 任务到社区
    pub tasks: Arrival,
    /// 服务承诺到社区
    pub promise: Arrival,
    /// 经费到社区
    pub funds: Arrival,
}

impl DutyTransfer {
    /// What has come with it.
    ///
    /// # Errors
    /// `Guard(transfer_state)` unless it is effective.
    pub fn arrivals(&self, items: &[ItemStanding]) -> Result<Arrivals> {
        if self.state != TransferState::Effective {
            let message = format!("the transfer is {}", self.state.as_str());
            return Err(DomainError::guard("transfer_state", message));
        }
        Ok(Arrivals {
            staff: Arrival::of_legs(self, &[LegKind::Staff, LegKind::Training]),
            tasks: tasks(items),
            promise: promise(items),
            funds: Arrival::of_legs(self, &[LegKind::Funds]),
        })
    }
}

impl TaskAdmission {
    /// What has come with it.
    ///
    /// # Errors
    /// `Guard(admission_state)` unless it is in force.
    pub fn arrivals(&self, items: &[ItemStanding]) -> Result<Arrivals> {
        if self.state != AdmissionState::InForce {
            let message = format!("the admission is {}", self.state.as_str());
            return Err(DomainError::guard("admission_state", message));
        }
        Ok(Arrivals {
            staff: Arrival::of_promise(!self.posts.is_empty() || !self.training_codes.is_empty()),
            tasks: tasks(items),
            promise: promise(items),
            funds: Arrival::of_promise(self.fund_fen > 0),
        })
    }
}

/// They are there when the list in force names the holder for every one of them.
fn tasks(items: &[ItemStanding]) -> Arrival {
    match items.iter().filter(|item| item.listed_from.is_some()).count() {
        0 => Arrival::not_yet("not_listed"),
        listed if listed < items.len() => Arrival::not_yet("partly_listed"),
        _ => Arrival::ARRIVED,
    }
}

/// It is there when residents are promised a limit for every item. How it is kept is a figure, not a condition: where nothing
/// has fallen due the promise holds all the same.
fn promise(items: &[ItemStanding]) -> Arrival {
    let promised = !items.is_empty() && items.iter().all(|item| item.promised.is_some());
    if promised { Arrival::ARRIVED } else { Arrival::not_yet("no_promise") }
}

/// First day since which all of it has been in the list without a break; its own first day while nothing is listed, and never one
/// before that. What was suspended in between is not counted to the holder.
#[must_use]
pub fn since(items: &[ItemStanding], first: NaiveDate) -> NaiveDate {
    items.iter().filter_map(|item| item.listed_from).fold(first, Ord::max)
}
