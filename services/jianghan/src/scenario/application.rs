//! F2: the minimum living allowance (低保). One application is shown publicly, objected to, looked into again, shown again,
//! granted, paid and closed, beside another that is granted with it; when both are due for review, one goes on and the other
//! ends (see `recheck`). One is refused in writing with remedies; relief that cannot wait is granted at once (see `urgent`); one that
//! nobody answers counts as accepted (see `silence`); one is being shown when the scenario ends.

use anyhow::{Context, Result};
use chrono::Duration;
use proto::case_routing::v1::{
    AcceptApplicationRequest, Application, ApplicationOutcome, ApplicationState, ApproveApplicationRequest,
    Case, CaseState, Channel, ClosedCode, CountersignInvestigationRequest, DeliverApplicationRequest,
    DeliveryMode, DenyApplicationRequest, GetApplicationRequest, InvestigationKind, ListPublicNoticesRequest,
    ObjectToNoticeRequest, PublicNotice, PublishNoticeRequest, RecordInvestigationRequest, RemedyKind,
    RequestApplicationSupplementRequest, ReviewApplicationRequest, StartInvestigationRequest,
    SubmitApplicationRequest, SupplementApplicationRequest,
};
use tonic::Code;

use super::{
    inquiry,
    one_window::COMMUNITY,
    recheck::{self, Granted},
    silence,
    stage::{Person, Stage},
    story::{Story, Who, expect, expect_state},
    urgent,
};
use crate::suite::request_id;

/// Shown publicly for seven days, two people on the spot, decided by the district.
pub(super) const ALLOWANCE: &str = "MZ-0101";
/// Of the demonstration's own making; the notice shows its first character.
const NAME: &str = "王小明";
const MASKED: &str = "王**";

macro_rules! verbs {
    ($($name:ident($application:ident $(, $arg:ident: $ty:ty)*)
        = $rpc:ident($rpc_name:literal, $request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        impl Person<'_> {$(
            pub(super) async fn $name(
                &self,
                $application: &Application
                $(, $arg: $ty)*
            ) -> Result<Application> {
                let message = $request {
                    case_id: $application.case_id.clone(),
                    request_id: request_id(),
                    $($field: $value,)*
                    ..Default::default()
                };
                self.notes(&$application.case_id, $rpc_name, &message.request_id);
                let answer = self.stage.suite.applications().$rpc(self.asks(message).await?).await;
                self.heard($rpc_name, answer)?.application.context("an answer without the application")
            }
        )*}
    };
}

verbs! {
    takes_application_in(a) = accept_application("AcceptApplication", AcceptApplicationRequest {});
    asks_for_papers(a) = request_application_supplement("RequestApplicationSupplement", RequestApplicationSupplementRequest {
        material_codes: vec!["income_proof".into()],
    });
    brings_papers(a) = supplement_application("SupplementApplication", SupplementApplicationRequest {
        material_refs: vec!["doc:income".into()], authorisation_ref: "doc:family".into(),
    });
    begins(a) = start_investigation("StartInvestigation", StartInvestigationRequest {});
    visits(a) = record_investigation("RecordInvestigation", RecordInvestigationRequest {
        kind: InvestigationKind::HomeVisit.into(), finding_code: "as_stated".into(),
        evidence_refs: vec!["photo:home".into()],
    });
    was_there_too(a) = countersign_investigation("CountersignInvestigation", CountersignInvestigationRequest {
        investigation_id: a.investigations.last().context("a check of the facts")?.investigation_id.clone(),
    });
    sums_up(a, grant: bool) = review_application("ReviewApplication", ReviewApplicationRequest {
        recommends_grant: grant, reason_code: "facts_clear".into(),
    });
    shows_publicly(a) = publish_notice("PublishNotice", PublishNoticeRequest { applicant_name: NAME.into() });
    grants(a) = approve_application("ApproveApplication", ApproveApplicationRequest { amount_fen: 90_000 });
    refuses(a) = deny_application("DenyApplication", DenyApplicationRequest {
        reason_code: "income_above_standard".into(),
        written_reason: "家庭人均月收入高于本市低保标准，见核对报告第二页。".into(),
        reconsideration_body: "江汉区人民政府".into(), court: "江汉区人民法院".into(),
    });
    pays(a) = deliver_application("DeliverApplication", DeliverApplicationRequest { delivery_ref: "pay:first".into() });
}

impl Person<'_> {
    /// Applies for the allowance, for oneself or by proxy.
    async fn applies(&self, applicant: &Person<'_>) -> Result<Application> {
        self.applies_for(ALLOWANCE, "家庭收入低于标准，申请低保。", applicant).await
    }

    /// Applies for an item.
    pub(super) async fn applies_for(
        &self,
        item: &str,
        text: &str,
        applicant: &Person<'_>,
    ) -> Result<Application> {
        let message = SubmitApplicationRequest {
            request_id: request_id(),
            item_code: item.to_owned(),
            place_unit_id: self.stage.unit(COMMUNITY)?,
            text: text.to_owned(),
            channel: Channel::Window.into(),
            requester_id: applicant.session.account.person_id.clone(),
            notice_version: "v1".into(),
            material_refs: vec!["doc:id".into()],
            ..Default::default()
        };
        let id = message.request_id.clone();
        let answer = self.stage.suite.applications().submit_application(self.asks(message).await?).await;
        let application = self.heard("SubmitApplication", answer)?.application;
        let application = application.context("an answer without the application")?;
        self.notes(&application.case_id, "SubmitApplication", &id);
        Ok(application)
    }

    pub(super) async fn reads(&self, application: &Application) -> Result<Application> {
        let request = self.asks(GetApplicationRequest { case_id: application.case_id.clone() }).await?;
        let answer = self.stage.suite.applications().get_application(request).await;
        self.heard("GetApplication", answer)?.application.context("an answer without the application")
    }

    async fn objects_to(&self, notice: &PublicNotice) -> Result<()> {
        let message = ObjectToNoticeRequest {
            notice_id: notice.notice_id.clone(),
            request_id: request_id(),
            ground_code: "assets".into(),
            text: "他家上月买了车".into(),
        };
        self.notes(&notice.notice_id, "ObjectToNotice", &message.request_id);
        let answer = self.stage.suite.applications().object_to_notice(self.asks(message).await?).await;
        self.heard("ObjectToNotice", answer).map(drop)
    }

    /// What comes of summing up when one person alone has made a visit that needs two.
    async fn is_kept_from_summing_up(&self, application: &Application) -> Result<()> {
        let message = ReviewApplicationRequest {
            case_id: application.case_id.clone(),
            request_id: request_id(),
            recommends_grant: true,
            reason_code: "facts_clear".into(),
            ..Default::default()
        };
        match self.stage.suite.applications().review_application(self.asks(message).await?).await {
            Err(status) if status.code() == Code::FailedPrecondition => Ok(()),
            Err(status) => self.heard("ReviewApplication", Err(status)),
            Ok(_) => expect(false, "no summing up of a visit by one"),
        }
    }

    /// What comes of approving while the notice still runs.
    async fn is_kept_from_granting(&self, application: &Application) -> Result<()> {
        let message = ApproveApplicationRequest {
            case_id: application.case_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        match self.stage.suite.applications().approve_application(self.asks(message).await?).await {
            Err(status) if status.code() == Code::FailedPrecondition => Ok(()),
            Err(status) => self.heard("ApproveApplication", Err(status)),
            Ok(_) => expect(false, "no approval while the notice runs"),
        }
    }
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let (goes_on, ends) = granted_after_a_notice(story).await?;
    recheck::play(story, goes_on, ends).await?;
    refused_in_writing(story).await?;
    urgent::play(story).await?;
    silence::play(story).await?;
    shown_now(story).await
}

/// What everybody may see, without signing in: all pages of it.
async fn notice_of(stage: &Stage, application: &Application) -> Result<Option<PublicNotice>> {
    let own = application.notice.as_ref().map(|notice| notice.notice_id.clone()).unwrap_or_default();
    let mut page_token = String::new();
    loop {
        let request =
            ListPublicNoticesRequest { unit_id: stage.unit(COMMUNITY)?, page_size: 200, page_token };
        let page = stage.suite.applications().list_public_notices(request).await?.into_inner();
        if let Some(found) = page.notices.into_iter().find(|notice| notice.notice_id == own) {
            return Ok(Some(found));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(None);
        }
    }
}

/// Visited by two workers of the community, and summed up at the street.
pub(super) async fn looked_into(
    story: &mut Story<'_>,
    application: Application,
    grant: bool,
) -> Result<Application> {
    let stage = story.stage;
    let (first, second) =
        (stage.login(&format!("worker1.{COMMUNITY}"))?, stage.login(&format!("worker2.{COMMUNITY}"))?);
    let street = stage.login("dispatcher.420103005")?;
    let application = story
        .step(
            &first,
            "两人入户核查并会签，一人不算数",
            "visits the home with a colleague; both sign, for one alone does not count",
            async {
                let application = first.visits(&application).await?;
                street.is_kept_from_summing_up(&application).await?;
                second.was_there_too(&application).await
            },
        )
        .await?;
    let check = application.investigations.last().context("a check of the facts")?;
    let went = [&first, &second].map(|worker| &worker.session.account.actor_ref);
    let signed: Vec<&String> = check.signatures.iter().map(|signature| &signature.person_ref).collect();
    expect(check.complete && check.needed_people == 2 && signed == went, "who went: the two of them")?;
    let (zh, en) = if grant {
        ("街道审核：建议批准", "sums up: recommends a grant")
    } else {
        ("街道审核：建议不予批准", "sums up: recommends a refusal")
    };
    story.step(&street, zh, en, street.sums_up(&application, grant)).await
}

async fn shown_publicly(
    story: &mut Story<'_>,
    application: Application,
) -> Result<(Application, PublicNotice)> {
    let stage = story.stage;
    let street = stage.login("dispatcher.420103005")?;
    let application = story
        .step(
            &street,
            "公示七日，姓名隐去",
            "shows it publicly for seven days, with the name masked",
            street.shows_publicly(&application),
        )
        .await?;
    let notice = notice_of(stage, &application).await?.context("the notice is shown")?;
    expect(notice.name_masked == MASKED && notice.item_code == ALLOWANCE, "masked, with its item")?;
    Ok((application, notice))
}

/// Gives both that were granted.
async fn granted_after_a_notice<'s>(story: &mut Story<'s>) -> Result<(Granted<'s>, Granted<'s>)> {
    let stage = story.stage;
    let (resident, committee) = (stage.resident(11)?, stage.login(&format!("committee.{COMMUNITY}"))?);
    let window = stage.window(COMMUNITY)?;
    let application = story
        .step(
            &committee,
            "代居民申请低保",
            "applies for a resident's allowance",
            committee.applies(&resident),
        )
        .await?;
    let proxy = stage.org(&format!("committee:{COMMUNITY}"))?;
    expect(application.proxy_org_id == proxy, "by proxy of the committee")?;
    story.shows_case(
        &application.case_id,
        "低保申请：公示、异议复查、批准、兑现",
        "an allowance: notice, objection, looked into again, granted, paid",
    );
    let application = story
        .step(
            &window,
            "一次性告知补正材料",
            "tells once and completely what is missing",
            window.asks_for_papers(&application),
        )
        .await?;
    let application = story
        .step(
            &resident,
            "补交材料和家庭授权，即受理",
            "brings the papers and the family's authorisation; it is taken in",
            resident.brings_papers(&application),
        )
        .await?;
    expect(application.state() == ApplicationState::Accepted, "accepted")?;
    let lead = stage.org("dept:civil_affairs")?;
    let case = stage.looks_at(&application.case_id).await?;
    expect_state(&case, CaseState::Dispatched)?;
    expect(case.lead_org_id == lead, "the department of civil affairs leads")?;
    let officer = stage.handler_of(&lead)?;
    let application = story
        .step(&officer, "启动调查核实", "has the facts looked into", officer.begins(&application))
        .await?;
    let application = inquiry::asked_elsewhere(story, application).await?;
    let application = looked_into(story, application, true).await?;
    let (application, notice) = shown_publicly(story, application).await?;

    let neighbour = stage.resident(12)?;
    story
        .step(
            &neighbour,
            "公示期内提出异议，异议人不公开",
            "objects while it is shown; who objects stays unknown",
            neighbour.objects_to(&notice),
        )
        .await?;
    let application = resident.reads(&application).await?;
    expect(application.state() == ApplicationState::Reinvestigating, "the facts are looked into again")?;
    expect(notice_of(stage, &application).await?.is_none(), "the notice is taken down")?;
    let application = looked_into(story, application, true).await?;
    let (application, _) = shown_publicly(story, application).await?;
    let shown = (
        "低保申请：批准、兑现；到期复核后书面终止",
        "an allowance: granted and paid; ended in writing when it was reviewed",
    );
    let another = applied(story, 15, shown).await?;
    let another = looked_into(story, another, true).await?;
    let (another, _) = shown_publicly(story, another).await?;
    let leader = stage.login("leader.civil_affairs")?;
    story
        .step(
            &leader,
            "公示期未满，不能批准",
            "cannot grant it while the notice runs",
            leader.is_kept_from_granting(&application),
        )
        .await?;
    story
        .step(Who::Time, "公示期满，公示自动撤下", "the days of the notice pass, and it is gone", async {
            // Seven days, and those by which a rest day moves the last one.
            stage.pass(Duration::days(18)).await?;
            stage.to_the_next_morning().await?;
            let gone = async || Ok(notice_of(stage, &application).await?.is_none().then_some(()));
            stage.until("the notice to be gone", gone).await
        })
        .await?;
    let application = story.step(&leader, "批准", "grants it", leader.grants(&application)).await?;
    let application =
        story.step(&officer, "发放首笔低保金", "pays for the first time", officer.pays(&application)).await?;
    expect(application.state() == ApplicationState::Delivered, "delivered")?;
    let another = story
        .step(&leader, "批准并发放另一户", "grants the other one, and it is paid", async {
            let another = leader.grants(&another).await?;
            officer.pays(&another).await
        })
        .await?;
    let case = Case { case_id: application.case_id.clone(), ..Default::default() };
    let case = stage.sees_state(&case, CaseState::Verifying).await?;
    let verifier = stage.anyone("verifier", 0)?;
    let case = story
        .step(&verifier, "核查回访", "verifies it with the applicant", verifier.verifies(&case, 5))
        .await?;
    let case = story
        .step(&resident, "评价；结案", "rates it; it is closed", async {
            let case = resident.rates(&case, 5).await?;
            stage.sees_state(&case, CaseState::Closed).await
        })
        .await?;
    let came = (case.closed_code(), case.delivery_mode(), case.application_state());
    expect(
        came == (ClosedCode::Resolved, DeliveryMode::GovDirect, ApplicationState::Delivered),
        "resolved and delivered by the government itself",
    )?;
    let ends = Granted { application: another, holder: stage.resident(15)? };
    Ok((Granted { application, holder: resident }, ends))
}

/// Applied for and taken in, with the facts being looked into.
async fn applied(story: &mut Story<'_>, n: u64, shown: (&str, &str)) -> Result<Application> {
    let stage = story.stage;
    let (resident, window) = (stage.resident(n)?, stage.window(COMMUNITY)?);
    let application = story
        .step(&resident, "本人申请低保", "applies for the allowance", resident.applies(&resident))
        .await?;
    story.shows_case(&application.case_id, shown.0, shown.1);
    let officer = stage.handler_of(&stage.org("dept:civil_affairs")?)?;
    story
        .step(
            &window,
            "受理；部门启动调查核实",
            "takes it in; the department has the facts looked into",
            async {
                let application = window.takes_application_in(&application).await?;
                officer.begins(&application).await
            },
        )
        .await
}

async fn refused_in_writing(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let shown = (
        "低保申请：书面不予批准，附理由和救济途径",
        "an allowance refused in writing, with reasons and remedies",
    );
    let application = applied(story, 13, shown).await?;
    inquiry::not_asked_elsewhere(story, &application).await?;
    let application = looked_into(story, application, false).await?;
    let leader = stage.login("leader.civil_affairs")?;
    let application = story
        .step(
            &leader,
            "书面不予批准：写明理由、复议和诉讼期限",
            "refuses in writing: reasons, and until when reconsideration and litigation are open",
            leader.refuses(&application),
        )
        .await?;
    let resident = stage.resident(13)?;
    let application =
        story.step(&resident, "查看决定书", "reads the decision", resident.reads(&application)).await?;
    let decision = application.decision.clone().context("a decision")?;
    expect(decision.outcome() == ApplicationOutcome::Denied, "refused")?;
    expect(decision.written_reason.contains("低保标准"), "with its reasons")?;
    let remedies: Vec<RemedyKind> = decision.remedies.iter().map(|remedy| remedy.kind()).collect();
    expect(remedies == [RemedyKind::Reconsideration, RemedyKind::Litigation], "both remedies")?;
    let complete =
        decision.remedies.iter().all(|remedy| remedy.due_time.is_some() && !remedy.body.is_empty());
    expect(complete, "where to, and until when")?;
    let case = Case { case_id: application.case_id.clone(), ..Default::default() };
    let case = stage.sees_state(&case, CaseState::Verifying).await?;
    expect(case.closed_code() == ClosedCode::Explained, "explained")
}

async fn shown_now(story: &mut Story<'_>) -> Result<()> {
    let shown = ("低保申请：正在公示", "an allowance that is being shown publicly");
    let application = applied(story, 14, shown).await?;
    let application = looked_into(story, application, true).await?;
    let (_, notice) = shown_publicly(story, application).await?;
    let path = format!("/notices?unit={}", story.stage.unit(COMMUNITY)?);
    story.shows("notice", &notice.notice_id, path, "公示页：人人可看", "the public notice, for everybody");
    Ok(())
}
