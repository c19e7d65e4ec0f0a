//! The pages of duties on their way down: transfers with their assessment and all they need, admissions, and what communities
//! sent back; of one in force also what has come with it to the community. Each part is asked for with the reader's token.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{OriginalUri, Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use proto::case_routing::v1::{
    AdmissionRefusal, DutyLeg, DutyTransfer, DutyTransferState, GetAdmissionRequest, GetDutyTransferRequest,
    ListAdmissionRefusalsRequest, ListAdmissionsRequest, ListDutyTransfersRequest, TaskAdmission,
    TaskAdmissionState, duty_service_client::DutyServiceClient,
};
use serde::Deserialize;

use super::{
    arrivals::{self, Arrivals},
    duty_forms::{Assess, Courses, FINDINGS, REFUSALS},
    lang::Lang,
    links::Links,
    names::Names,
    reader::{NoSession, Reader},
    view::{day, encoded, field, fresh, last_day, local, permitted, render, yuan},
};
use crate::App;

const PAGE: i32 = 50;

#[derive(Template)]
#[template(path = "duties.html")]
struct DutiesPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    names: &'a Names,
    transfers: &'a [DutyTransfer],
    admissions: &'a [TaskAdmission],
    /// Nothing where the reader may not see them.
    refusals: Option<&'a [AdmissionRefusal]>,
    /// Of one of the lists a later page is shown.
    later: bool,
    next_transfers: Option<String>,
    next_admissions: Option<String>,
    next_refusals: Option<String>,
}

#[derive(Template)]
#[template(path = "duty.html")]
struct DutyPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    names: &'a Names,
    transfer: &'a DutyTransfer,
    /// Nothing while it is not in force.
    arrivals: Option<Arrivals>,
    /// Nothing but while it waits to be assessed, by the reader.
    assess: Option<Assess<'a>>,
    courses: Courses,
}

#[derive(Template)]
#[template(path = "admission.html")]
struct AdmissionPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    names: &'a Names,
    admission: &'a TaskAdmission,
    /// Nothing while it is not in force.
    arrivals: Option<Arrivals>,
    /// Nothing but while it waits to be assessed, by the reader.
    assess: Option<Assess<'a>>,
}

impl DutyPage<'_> {
    /// Authority, funds, staff and training, as far as they are.
    fn legs(&self) -> Vec<(&'static str, DutyLeg)> {
        let (lang, transfer) = (self.lang, self.transfer);
        [
            (lang.t("权（授权）", "Authority"), &transfer.authority),
            (lang.t("费（经费）", "Funds"), &transfer.funds),
            (lang.t("人（人员）", "Staff"), &transfer.staff),
            (lang.t("训（培训）", "Training"), &transfer.training),
        ]
        .into_iter()
        .filter_map(|(name, leg)| Some((name, leg.clone()?)))
        .collect()
    }
}

/// Which page of each list.
#[derive(Deserialize)]
pub struct Pages {
    #[serde(default)]
    transfers: String,
    #[serde(default)]
    admissions: String,
    #[serde(default)]
    refusals: String,
}

/// All of them within reach, newest first.
pub async fn duties(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(pages): Query<Pages>,
) -> Result<Response, NoSession> {
    let path = uri.path_and_query().map_or("/duties", |path| path.as_str());
    let reader = Reader::of(&app, &headers, path).await?;
    let page = list(&app, &reader, pages).await;
    Ok(reader.answer(page))
}

async fn list(app: &App, reader: &Reader<'_>, pages: Pages) -> Result<Response, tonic::Status> {
    let (session, lang, path) = (&reader.session, reader.lang, reader.path);
    let later = [&pages.transfers, &pages.admissions, &pages.refusals].iter().any(|page| !page.is_empty());
    let mut client = DutyServiceClient::new(app.channel("case-routing"));
    let request =
        ListDutyTransfersRequest { page_size: PAGE, page_token: pages.transfers, ..Default::default() };
    let transfers = client.list_duty_transfers(session.request(request)?).await?.into_inner();
    let request =
        ListAdmissionsRequest { page_size: PAGE, page_token: pages.admissions, ..Default::default() };
    let admissions = client.list_admissions(session.request(request)?).await?.into_inner();
    let request = ListAdmissionRefusalsRequest { page_size: PAGE, page_token: pages.refusals };
    let refusals = permitted(client.list_admission_refusals(session.request(request)?).await)?;
    let names = app.board.names.get(app, session).await;
    let next =
        |list: &str, token: &str| (!token.is_empty()).then(|| format!("/duties?{list}={}", encoded(token)));
    let next_refusals = refusals.as_ref().and_then(|page| next("refusals", &page.next_page_token));
    Ok(render(&DutiesPage {
        lang,
        path,
        links: Links::of(session),
        names: &names,
        transfers: &transfers.transfers,
        admissions: &admissions.admissions,
        refusals: refusals.as_ref().map(|page| page.refusals.as_slice()),
        later,
        next_transfers: next("transfers", &transfers.next_page_token),
        next_admissions: next("admissions", &admissions.next_page_token),
        next_refusals,
    }))
}

/// One transfer.
pub async fn duty(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, NoSession> {
    let path = format!("/duties/{}", encoded(&id));
    let reader = Reader::of(&app, &headers, &path).await?;
    let page = one(&app, &reader, id).await;
    Ok(reader.answer(page))
}

async fn one(app: &App, reader: &Reader<'_>, id: String) -> Result<Response, tonic::Status> {
    let (session, lang, path) = (&reader.session, reader.lang, reader.path);
    let mut client = DutyServiceClient::new(app.channel("case-routing"));
    let request = session.request(GetDutyTransferRequest { duty_transfer_id: id })?;
    let transfer = client.get_duty_transfer(request).await?.into_inner().transfer;
    let transfer = transfer.ok_or_else(|| tonic::Status::not_found("no such transfer"))?;
    let arrivals = match transfer.state() {
        DutyTransferState::Effective => arrivals::of(app, session, &transfer.duty_transfer_id, lang).await?,
        _ => None,
    };
    let names = app.board.names.get(app, session).await;
    let links = Links::of(session);
    let assess = match transfer.state() {
        DutyTransferState::Applied => Assess::of(links, &transfer.etag, &transfer.opinions),
        _ => None,
    };
    let courses = Courses::of(app, session, links, &transfer).await;
    Ok(render(&DutyPage { lang, path, links, names: &names, transfer: &transfer, arrivals, assess, courses }))
}

/// One admission.
pub async fn admission(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, NoSession> {
    let path = format!("/admissions/{}", encoded(&id));
    let reader = Reader::of(&app, &headers, &path).await?;
    let page = admitted(&app, &reader, id).await;
    Ok(reader.answer(page))
}

async fn admitted(app: &App, reader: &Reader<'_>, id: String) -> Result<Response, tonic::Status> {
    let (session, lang, path) = (&reader.session, reader.lang, reader.path);
    let mut client = DutyServiceClient::new(app.channel("case-routing"));
    let request = session.request(GetAdmissionRequest { admission_id: id })?;
    let admission = client.get_admission(request).await?.into_inner().admission;
    let admission = admission.ok_or_else(|| tonic::Status::not_found("no such admission"))?;
    let arrivals = match admission.state() {
        TaskAdmissionState::InForce => arrivals::of(app, session, &admission.admission_id, lang).await?,
        _ => None,
    };
    let names = app.board.names.get(app, session).await;
    let links = Links::of(session);
    let assess = match admission.state() {
        TaskAdmissionState::Applied => Assess::of(links, &admission.etag, &admission.opinions),
        _ => None,
    };
    Ok(render(&AdmissionPage { lang, path, links, names: &names, admission: &admission, arrivals, assess }))
}
