//! Fund lines and demands as answers show them.

use chassis::clock::to_proto;
use proto::staffing::v1 as pb;

use crate::domain::{
    PostKind,
    duty::{Demand, FundLine},
};

impl From<&FundLine> for pb::FundLine {
    fn from(line: &FundLine) -> Self {
        Self {
            fund_line_id: line.id.to_string(),
            code: line.code.clone(),
            org_id: line.org_id.to_string(),
            budget_fen: line.budget_fen,
            allotted_fen: line.allotted_fen,
        }
    }
}

/// Posts of a kind.
pub fn post_demand((kind, count): &(PostKind, i32)) -> pb::PostDemand {
    pb::PostDemand { kind: *kind as i32, count: *count }
}

impl From<&Demand> for pb::DutyDemand {
    fn from(demand: &Demand) -> Self {
        Self {
            duty_transfer_id: demand.transfer_id.to_string(),
            from_org_id: demand.from_org_id.to_string(),
            to_org_id: demand.to_org_id.to_string(),
            line: demand.line.clone().unwrap_or_default(),
            fund_fen: demand.fund_fen,
            posts: demand.needs.iter().map(post_demand).collect(),
            deadline_time: Some(to_proto(demand.deadline)),
            funds: demand.funds as i32,
            fund_line_id: demand.fund_line_id.map(|id| id.to_string()).unwrap_or_default(),
            staff: demand.staff as i32,
            post_ids: demand.post_ids.iter().map(ToString::to_string).collect(),
            effective: demand.effective,
            closed: demand.closed,
            training_codes: demand.training_codes.clone(),
            // Unspecified where none are asked for.
            training: if demand.training_codes.is_empty() { 0 } else { demand.training as i32 },
            training_ref: demand.training_ref.clone(),
        }
    }
}
