//! The forms by which the district assesses a transfer or an admission, and by which the new holder says what came of the courses of
//! a transfer. They are plain forms, so they work by keyboard and without scripts; shown to whom the policies name, as long as
//! they can be sent.

use std::sync::Arc;

use axum::{
    extract::{Form, Path, State},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use proto::{
    case_routing::v1::{
        AssessAdmissionRequest, AssessDutyTransferRequest, DutyOpinion, DutyTransfer, DutyTransferState,
        duty_service_client::DutyServiceClient,
    },
    staffing::v1::{
        CompleteDutyTrainingRequest, DemandState, DutyDemand, GetDutyDemandRequest,
        RefuseDutyTrainingRequest, duty_resource_service_client::DutyResourceServiceClient,
    },
};
use serde::Deserialize;

use super::{
    links::Links,
    reader::{NoSession, Reader},
    session::Session,
    view::{encoded, permitted},
};
use crate::App;

/// What an assessment looks at, each with the findings that the form offers; the service takes any code.
pub const FINDINGS: [(&str, &[&str]); 4] = [
    ("law_code", &["law_found", "law_missing"]),
    ("need_code", &["near_to_people", "seasonal", "not_needed"]),
    ("load_code", &["bearable", "too_heavy"]),
    ("alternative_code", &["none", "department_itself"]),
];

/// Reasons for refusing courses that the form offers; the service takes any code.
pub const REFUSALS: [&str; 3] = ["not_held", "not_attended", "not_passed"];

/// The form for what waits to be assessed.
pub struct Assess<'a> {
    /// The version that is assessed.
    pub etag: &'a str,
    /// The street was heard; nothing is assessed before.
    pub heard: bool,
    /// So was the community, without which nothing is assessed that its own organisations are to take over.
    pub community_heard: bool,
}

impl<'a> Assess<'a> {
    /// The form, for whom it is.
    pub fn of(links: Links, etag: &'a str, opinions: &[DutyOpinion]) -> Option<Self> {
        let heard = |who: &str| opinions.iter().any(|opinion| opinion.heard == who);
        let (heard, community_heard) = (heard("street"), heard("community"));
        links.assesses_duties.then_some(Self { etag, heard, community_heard })
    }
}

/// Which forms about the courses of a transfer can be sent.
#[derive(Default)]
pub struct Courses {
    /// They are done.
    pub complete: bool,
    /// They are refused, or were not done after all.
    pub refuse: bool,
}

impl Courses {
    /// Staffing says how they stand: the transfer hears of it a moment later. A page is not refused for want of it.
    pub async fn of(app: &App, session: &Session, links: Links, transfer: &DutyTransfer) -> Self {
        let waits = matches!(transfer.state(), DutyTransferState::Proposed | DutyTransferState::Suspended);
        if !links.trains_for_duties || !waits || transfer.training.is_none() {
            return Self::default();
        }
        let message = GetDutyDemandRequest { duty_transfer_id: transfer.duty_transfer_id.clone() };
        let Ok(request) = session.request(message) else { return Self::default() };
        let mut client = DutyResourceServiceClient::new(app.channel("staffing"));
        match permitted(client.get_duty_demand(request).await) {
            Ok(answer) => {
                let demand = answer.and_then(|answer| answer.demand);
                demand.as_ref().map(Self::taken).unwrap_or_default()
            }
            Err(status) => {
                tracing::warn!(code = ?status.code(), "how courses stand is not to be had just now");
                Self::default()
            }
        }
    }

    /// Courses are done once posts are named, and refused until the transfer takes effect.
    fn taken(demand: &DutyDemand) -> Self {
        let asked = demand.training() == DemandState::Asked;
        let done = demand.training() == DemandState::Met;
        let named = demand.staff() == DemandState::Met;
        Self {
            complete: !demand.closed && asked && named,
            refuse: !demand.closed && !demand.effective && (asked || done),
        }
    }
}

/// What a form says; each has some of the fields.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Made with the form: sent twice, it is one answer.
    request_id: String,
    action: String,
    etag: String,
    law_code: String,
    need_code: String,
    load_code: String,
    alternative_code: String,
    record_ref: String,
    reason_code: String,
}

/// Assesses a transfer, or says what came of its courses.
pub async fn duty(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(form): Form<Answer>,
) -> Result<Response, NoSession> {
    let path = format!("/duties/{}", encoded(&id));
    let written = form.record_ref.clone();
    let reader = Reader::of_form(&app, &headers, &path, &written).await?;
    let sent = of_transfer(&app, &reader.session, id, form).await;
    Ok(reader.answer_form(sent.map(|()| Redirect::to(&path).into_response()), &written))
}

async fn of_transfer(
    app: &App,
    session: &Session,
    duty_transfer_id: String,
    form: Answer,
) -> Result<(), tonic::Status> {
    let Answer {
        request_id,
        action,
        etag,
        law_code,
        need_code,
        load_code,
        alternative_code,
        record_ref,
        reason_code,
    } = form;
    match action.as_str() {
        "assess" => {
            let mut client = DutyServiceClient::new(app.channel("case-routing"));
            let request = AssessDutyTransferRequest {
                duty_transfer_id,
                request_id,
                etag,
                law_code,
                need_code,
                load_code,
                alternative_code,
            };
            client.assess_duty_transfer(session.request(request)?).await?;
        }
        "complete_training" => {
            let mut client = DutyResourceServiceClient::new(app.channel("staffing"));
            let request = CompleteDutyTrainingRequest { duty_transfer_id, request_id, record_ref };
            client.complete_duty_training(session.request(request)?).await?;
        }
        "refuse_training" => {
            let mut client = DutyResourceServiceClient::new(app.channel("staffing"));
            let request = RefuseDutyTrainingRequest { duty_transfer_id, request_id, reason_code };
            client.refuse_duty_training(session.request(request)?).await?;
        }
        _ => return Err(tonic::Status::invalid_argument("action")),
    }
    Ok(())
}

/// Assesses an admission.
pub async fn admission(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(form): Form<Answer>,
) -> Result<Response, NoSession> {
    let path = format!("/admissions/{}", encoded(&id));
    let reader = Reader::of_form(&app, &headers, &path, "").await?;
    let sent = of_admission(&app, &reader.session, id, form).await;
    Ok(reader.answer_form(sent.map(|()| Redirect::to(&path).into_response()), ""))
}

async fn of_admission(
    app: &App,
    session: &Session,
    admission_id: String,
    form: Answer,
) -> Result<(), tonic::Status> {
    let Answer { request_id, action, etag, law_code, need_code, load_code, alternative_code, .. } = form;
    if action != "assess" {
        return Err(tonic::Status::invalid_argument("action"));
    }
    let mut client = DutyServiceClient::new(app.channel("case-routing"));
    let request = AssessAdmissionRequest {
        admission_id,
        request_id,
        etag,
        law_code,
        need_code,
        load_code,
        alternative_code,
    };
    client.assess_admission(session.request(request)?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::lang::Lang;
    use super::*;

    #[test]
    fn every_finding_and_reason_that_is_offered_has_its_words() {
        let offered = FINDINGS.map(|(_, findings)| findings).concat();
        for code in offered.iter().chain(&REFUSALS) {
            let (zh, en) = (Lang::Zh.name(code), Lang::En.name(code));
            assert!(zh != *code && en != *code && zh != en, "{code} has no name");
        }
    }

    #[test]
    fn courses_are_done_once_posts_are_named_and_refused_until_the_transfer_takes_effect() {
        let demand = |training: DemandState, staff: DemandState, effective| DutyDemand {
            training: training.into(),
            staff: staff.into(),
            effective,
            ..Default::default()
        };
        let taken = |demand: &DutyDemand| (Courses::taken(demand).complete, Courses::taken(demand).refuse);
        let (asked, met) = (DemandState::Asked, DemandState::Met);
        assert_eq!(taken(&demand(asked, asked, false)), (false, true), "nobody is named");
        assert_eq!(taken(&demand(asked, met, false)), (true, true));
        assert_eq!(taken(&demand(met, met, false)), (false, true), "not done after all");
        assert_eq!(taken(&demand(asked, met, true)), (true, false), "others were named since");
        assert_eq!(taken(&demand(DemandState::Unspecified, met, false)), (false, false), "there are none");
        assert_eq!(taken(&demand(DemandState::Refused, met, false)), (false, false));
        let over = DutyDemand { closed: true, ..demand(asked, met, false) };
        assert_eq!(taken(&over), (false, false));
    }
}
