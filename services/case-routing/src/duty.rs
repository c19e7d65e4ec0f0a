//! A transfer or an admission as the executor carries it: a verb for a caller, and what the other services hear of it.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::to_proto,
    command::{Decide, Decision},
    event::Emit,
    proto::{case_routing::v1 as pb, staffing::v1::PostKind},
    update,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{
        self, DomainError, OrgId,
        duty::{
            Admission, AdmissionEvent, Arrivals, Change, DutyEvent, DutyTransfer, ItemStanding, Leg, LegKind,
            LegNews, Listed, PostNeed, TaskAdmission,
        },
    },
    verb::barred,
};

/// Name of both kinds in errors, so that the one is not told from the other by asking.
pub const KIND: &str = "duty";

/// The aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    Transfer(DutyTransfer),
    Admission(TaskAdmission),
}

impl Duty {
    pub const fn id(&self) -> Uuid {
        match self {
            Self::Transfer(transfer) => transfer.id.0,
            Self::Admission(admission) => admission.id.0,
        }
    }

    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Transfer(_) => "transfer",
            Self::Admission(_) => "admission",
        }
    }

    pub const fn state(&self) -> &'static str {
        match self {
            Self::Transfer(transfer) => transfer.state.as_str(),
            Self::Admission(admission) => admission.state.as_str(),
        }
    }

    pub const fn version(&self) -> i64 {
        match self {
            Self::Transfer(transfer) => transfer.version,
            Self::Admission(admission) => admission.version,
        }
    }

    /// The department, and who is to hold the duty.
    pub const fn orgs(&self) -> [OrgId; 2] {
        match self {
            Self::Transfer(transfer) => [transfer.from, transfer.to],
            Self::Admission(admission) => [admission.from, admission.to],
        }
    }

    /// When something is due for it by itself.
    pub fn next_due(&self) -> Option<Timestamp> {
        match self {
            Self::Transfer(transfer) => transfer.next_due(),
            Self::Admission(admission) => admission.next_due(),
        }
    }

    /// What the list has of it.
    pub fn standing(&self) -> Option<Listed> {
        match self {
            Self::Transfer(transfer) => transfer.standing(),
            Self::Admission(admission) => admission.standing(),
        }
    }

    /// The items it is about.
    pub fn items(&self) -> &[String] {
        match self {
            Self::Transfer(transfer) => &transfer.items,
            Self::Admission(admission) => std::slice::from_ref(&admission.item),
        }
    }

    /// What has come with it to its holder.
    ///
    /// # Errors
    /// `WrongState` unless it is in force.
    pub fn arrivals(&self, items: &[ItemStanding]) -> Result<Arrivals> {
        let found = match self {
            Self::Transfer(transfer) => transfer.arrivals(items),
            Self::Admission(admission) => admission.arrivals(items),
        };
        found.map_err(|error| refused(self.id(), error))
    }

    /// The items that nobody else may bring to the same holder meanwhile.
    pub fn claims(&self) -> &[String] {
        match self {
            Self::Transfer(transfer) if !transfer.state.is_over() => &transfer.items,
            Self::Admission(admission) if !admission.state.is_over() => std::slice::from_ref(&admission.item),
            _ => &[],
        }
    }

    pub const fn updated_at(&self) -> Timestamp {
        match self {
            Self::Transfer(transfer) => transfer.updated_at,
            Self::Admission(admission) => admission.updated_at,
        }
    }
}

/// A verb on a transfer.
pub struct TransferVerb<F> {
    pub id: Uuid,
    /// The version it is based on.
    pub etag: Option<i64>,
    pub run: F,
}

impl<F> Decide<Duty> for TransferVerb<F>
where
    F: Fn(DutyTransfer, &Caller, Timestamp) -> domain::Result<Change> + Send + Sync + 'static,
{
    fn decide(&self, current: Option<&Duty>, by: &Caller, now: Timestamp) -> Result<Decision<Duty>> {
        let Some(Duty::Transfer(transfer)) = current else { return Err(missing(self.id)) };
        update::fresh(self.etag, transfer.version, KIND, self.id)?;
        let change = (self.run)(transfer.clone(), by, now).map_err(|error| refused(self.id, error))?;
        Ok(transferred(change))
    }
}

/// A verb on an admission.
pub struct AdmissionVerb<F> {
    pub id: Uuid,
    /// The version it is based on.
    pub etag: Option<i64>,
    pub run: F,
}

impl<F> Decide<Duty> for AdmissionVerb<F>
where
    F: Fn(TaskAdmission, &Caller, Timestamp) -> domain::Result<Admission> + Send + Sync + 'static,
{
    fn decide(&self, current: Option<&Duty>, by: &Caller, now: Timestamp) -> Result<Decision<Duty>> {
        let Some(Duty::Admission(admission)) = current else { return Err(missing(self.id)) };
        update::fresh(self.etag, admission.version, KIND, self.id)?;
        let change = (self.run)(admission.clone(), by, now).map_err(|error| refused(self.id, error))?;
        Ok(admitted(change))
    }
}

/// Something new: proposed or applied for at the instant of the commit. Nobody is told before it is assessed.
pub struct Begin<F>(pub F);

impl<F> Decide<Duty> for Begin<F>
where
    F: Fn(Timestamp) -> Result<Duty> + Send + Sync + 'static,
{
    fn decide(&self, _: Option<&Duty>, _: &Caller, now: Timestamp) -> Result<Decision<Duty>> {
        Ok(Decision { aggregate: (self.0)(now)?, events: Vec::new() })
    }
}

/// What falls due: nothing changes where a command was quicker.
pub struct Tick;

impl Decide<Duty> for Tick {
    fn decide(&self, current: Option<&Duty>, _: &Caller, now: Timestamp) -> Result<Decision<Duty>> {
        let current = current.ok_or_else(|| missing(Uuid::nil()))?;
        let ticked = match current {
            Duty::Transfer(transfer) => transfer.clone().tick(now).map(transferred),
            Duty::Admission(admission) => admission.clone().tick(now).map(admitted),
        };
        Ok(ticked.unwrap_or_else(|| unchanged(current)))
    }
}

/// Identity or staffing answers.
pub struct Answer {
    pub leg: LegKind,
    pub news: LegNews,
}

impl Decide<Duty> for Answer {
    fn decide(&self, current: Option<&Duty>, _: &Caller, now: Timestamp) -> Result<Decision<Duty>> {
        let current = current.ok_or_else(|| missing(Uuid::nil()))?;
        let Duty::Transfer(transfer) = current else { return Ok(unchanged(current)) };
        let change = transfer.clone().leg(self.leg, &self.news, now);
        Ok(change.map_or_else(|| unchanged(current), transferred))
    }
}

fn unchanged(duty: &Duty) -> Decision<Duty> {
    Decision { aggregate: duty.clone(), events: Vec::new() }
}

fn transferred(change: Change) -> Decision<Duty> {
    let events = change.told.iter().map(|told| tell_transfer(&change.transfer, told)).collect();
    Decision { aggregate: Duty::Transfer(change.transfer), events }
}

fn admitted(change: Admission) -> Decision<Duty> {
    let events = change.told.iter().map(|told| tell_admission(&change.admission, told)).collect();
    Decision { aggregate: Duty::Admission(change.admission), events }
}

/// What nobody is told of is as if it were not there.
pub fn missing(id: Uuid) -> Error {
    Error::not_found(KIND, id)
}

fn refused(id: Uuid, error: DomainError) -> Error {
    match error {
        DomainError::Invalid { field, message } => Error::invalid(field, message),
        DomainError::NotEntitled { .. } => Error::Forbidden,
        wrong => barred(KIND, id, &wrong),
    }
}

/// A kind of post as events and answers carry it.
pub fn post_kind(code: &str) -> PostKind {
    let name = format!("POST_KIND_{}", code.to_ascii_uppercase());
    PostKind::from_str_name(&name).unwrap_or(PostKind::Unspecified)
}

/// Posts as events and answers carry them.
pub fn posts(needs: &[PostNeed]) -> Vec<pb::PostNeed> {
    let need = |need: &PostNeed| pb::PostNeed {
        kind: post_kind(&need.kind).into(),
        count: i32::try_from(need.count).unwrap_or(i32::MAX),
    };
    needs.iter().map(need).collect()
}

/// A leg's state as events and answers carry it.
pub const fn leg_state(leg: &Leg) -> pb::LegState {
    match leg {
        Leg::Open => pb::LegState::Open,
        Leg::Confirmed { .. } => pb::LegState::Confirmed,
        Leg::Refused { .. } => pb::LegState::Refused,
    }
}

/// Where its courses stand; unspecified where it has none.
fn training_state(transfer: &DutyTransfer) -> pb::LegState {
    if transfer.needs(LegKind::Training) {
        leg_state(&transfer.legs.training)
    } else {
        pb::LegState::Unspecified
    }
}

fn tell_transfer(transfer: &DutyTransfer, told: &DutyEvent) -> Emit {
    let duty_transfer_id = transfer.id.to_string();
    let (from_org_id, to_org_id) = (transfer.from.to_string(), transfer.to.to_string());
    let (item_codes, version) = (transfer.items.clone(), transfer.version);
    let key = transfer.id.0;
    let emit = match told.clone() {
        DutyEvent::Proposed => {
            let event = pb::DutyTransferProposed {
                duty_transfer_id,
                from_org_id,
                to_org_id,
                item_codes,
                line: transfer.line.clone().unwrap_or_default(),
                fund_fen: transfer.fund_fen,
                posts: posts(&transfer.posts),
                effective_time: Some(to_proto(transfer.effective_at)),
                deadline_time: Some(to_proto(transfer.deadline)),
                proposed_by: transfer.proposed_by.to_string(),
                training_codes: transfer.training_codes.clone(),
            };
            Emit::new(key, version, &event)
        }
        DutyEvent::Effective { resumed } => {
            let elapsed_seconds = (transfer.updated_at - transfer.proposed_at).num_seconds();
            let event = pb::DutyEffective {
                duty_transfer_id,
                from_org_id,
                to_org_id,
                item_codes,
                resumed,
                elapsed_seconds,
            };
            Emit::new(key, version, &event)
        }
        DutyEvent::RolledBack { reason_code } => {
            let event = pb::DutyRolledBack {
                duty_transfer_id,
                from_org_id,
                to_org_id,
                item_codes,
                reason_code,
                authority: leg_state(&transfer.legs.authority).into(),
                funds: leg_state(&transfer.legs.funds).into(),
                staff: leg_state(&transfer.legs.staff).into(),
                training: training_state(transfer).into(),
            };
            Emit::new(key, version, &event)
        }
        DutyEvent::Suspended { reason_code } => {
            let event =
                pb::DutySuspended { duty_transfer_id, from_org_id, to_org_id, item_codes, reason_code };
            Emit::new(key, version, &event)
        }
        DutyEvent::Ended { reason_code } => {
            let event = pb::DutyEnded { duty_transfer_id, from_org_id, to_org_id, item_codes, reason_code };
            Emit::new(key, version, &event)
        }
    };
    emit.unit(transfer.to_unit.0).line(transfer.line.as_deref())
}

fn tell_admission(admission: &TaskAdmission, told: &AdmissionEvent) -> Emit {
    let admission_id = admission.id.to_string();
    let (from_org_id, to_org_id) = (admission.from.to_string(), admission.to.to_string());
    let (item_code, version) = (admission.item.clone(), admission.version);
    let key = admission.id.0;
    let emit = match told.clone() {
        AdmissionEvent::Approved => {
            let event = pb::AdmissionApproved {
                admission_id,
                from_org_id,
                to_org_id,
                item_code,
                fund_fen: admission.fund_fen,
                posts: posts(&admission.posts),
                training_codes: admission.training_codes.clone(),
                valid_from_time: Some(to_proto(admission.valid_from)),
                valid_to_time: Some(to_proto(admission.valid_to)),
            };
            Emit::new(key, version, &event)
        }
        AdmissionEvent::Denied { reason_code } => {
            let event = pb::AdmissionDenied { admission_id, from_org_id, to_org_id, item_code, reason_code };
            Emit::new(key, version, &event)
        }
        AdmissionEvent::InForce => {
            let event = pb::AdmissionInForce { admission_id, from_org_id, to_org_id, item_code };
            Emit::new(key, version, &event)
        }
        AdmissionEvent::Ended { reason_code } => {
            let event = pb::AdmissionEnded { admission_id, from_org_id, to_org_id, item_code, reason_code };
            Emit::new(key, version, &event)
        }
    };
    emit.unit(admission.to_unit.0).line(admission.line.as_deref())
}

/// The executor of duties, shared by the RPCs, the consumer and the sweeper.
pub type Duties = chassis::command::Executor<crate::store::duties::DutyStore>;

/// A boxed command, as an open transaction takes it.
pub fn boxed(command: impl Decide<Duty>) -> Box<dyn Decide<Duty>> {
    Box::new(command)
}

/// Whether the caller is of the district, or of one of the two organisations' surroundings.
pub fn within_reach(duty: &Duty, caller: &Caller, topology: &Arc<chassis::topology::Topology>) -> bool {
    duty.orgs().into_iter().any(|id| {
        let Some(org) = topology.org(id.0) else { return false };
        topology.path(org.unit_id).is_some_and(|path| caller.reaches(&path, org.line.as_deref()))
    })
}
