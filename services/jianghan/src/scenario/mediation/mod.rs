//! F5: a dispute is applied for, consented to, talked over, agreed on, confirmed by the court and performed; another one ends
//! when a party does not want it any more; of a third one the police is told, and the talks come to nothing. Two that the committee
//! offers by itself end before they begin, and in an oral agreement that is not kept (see `oral`).

mod oral;

use anyhow::{Context, Result};
use chassis::clock::to_proto;
use prost_types::Timestamp;
use proto::case_routing::v1::{
    AgreementKind, Case, CaseState, ClosedCode, CourtAnswer, DeliveryMode, FailMediationRequest,
    HoldSessionRequest, Mediation, MediationOrigin, MediationState, OpenMediationRequest, PartyEntry,
    PartyKind, RecordAgreementRequest, RecordBreachRequest, RecordConfirmationRequest, RecordConsentRequest,
    RecordPerformanceRequest, RefuseMediationRequest, ReportEscalationRequest, RequestConfirmationRequest,
    SignAgreementRequest, TakeMediationRequest,
};

use super::{
    one_window::COMMUNITY,
    stage::Person,
    story::{Story, expect, expect_state},
};
use crate::suite::request_id;

/// Quarrels between neighbours and in families.
const QUARREL: &str = "ZF-0120";

macro_rules! verbs {
    ($($name:ident($($arg:ident: $ty:ty),*) = $rpc:ident($rpc_name:literal, $request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        impl Person<'_> {$(
            async fn $name(&self, mediation: &Mediation $(, $arg: $ty)*) -> Result<Mediation> {
                let message = $request {
                    case_id: mediation.case_id.clone(),
                    mediation_id: mediation.mediation_id.clone(),
                    request_id: request_id(),
                    $($field: $value,)*
                    ..Default::default()
                };
                self.notes(&mediation.case_id, $rpc_name, &message.request_id);
                let answer = self.stage.suite.mediations().$rpc(self.asks(message).await?).await;
                self.heard($rpc_name, answer)?.mediation.context("an answer without the mediation")
            }
        )*}
    };
}

verbs! {
    takes_mediation() = take_mediation("TakeMediation", TakeMediationRequest {});
    consents(party: i32) = record_consent("RecordConsent", RecordConsentRequest { party_number: party, rights_told: true });
    refuses_mediation(party: i32) = refuse_mediation("RefuseMediation", RefuseMediationRequest {
        party_number: party, reason_code: "refused".into(),
    });
    holds_session() = hold_session("HoldSession", HoldSessionRequest { notes: "双方陈述意见".into() });
    writes_agreement(due: Option<Timestamp>) = record_agreement("RecordAgreement", RecordAgreementRequest {
        kind: AgreementKind::Written.into(), terms: "每晚十点后不再弹琴".into(), performance_due_time: due,
    });
    writes_oral_agreement(due: Option<Timestamp>) = record_agreement("RecordAgreement", RecordAgreementRequest {
        kind: AgreementKind::Oral.into(), terms: "晚上弹琴提前说一声".into(), performance_due_time: due,
    });
    finds_breached() = record_breach("RecordBreach", RecordBreachRequest { reason_code: "refused_to_perform".into() });
    takes_signatures() = sign_agreement("SignAgreement", SignAgreementRequest { party_numbers: vec![1, 2], sealed: true });
    asks_court() = request_confirmation("RequestConfirmation", RequestConfirmationRequest {
        joint: true, court_ref: "court:2026-7".into(),
    });
    notes_court(answer: CourtAnswer) = record_confirmation("RecordConfirmation", RecordConfirmationRequest {
        answer: answer.into(),
    });
    finds_performed() = record_performance("RecordPerformance", RecordPerformanceRequest {
        evidence_refs: vec!["doc:visit".into()],
    });
    tells_police() = report_escalation("ReportEscalation", ReportEscalationRequest {
        ground_code: "violence".into(),
    });
    gives_up_talks() = fail_mediation("FailMediation", FailMediationRequest {
        reason_code: "no_agreement".into(),
    });
}

impl Person<'_> {
    /// Applies for the mediation of the own case with a neighbour.
    async fn applies_for_mediation(&self, case: &Case, neighbour: &Person<'_>) -> Result<Mediation> {
        let person = PartyEntry { kind: PartyKind::Person.into(), ..Default::default() };
        let other = PartyEntry {
            person_id: neighbour.session.account.person_id.clone(),
            name: "楼上邻居".into(),
            ..person.clone()
        };
        let message = OpenMediationRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            origin: MediationOrigin::Application.into(),
            parties: vec![person, other],
        };
        self.notes(&case.case_id, "OpenMediation", &message.request_id);
        let answer = self.stage.suite.mediations().open_mediation(self.asks(message).await?).await;
        self.heard("OpenMediation", answer)?.mediation.context("an answer without the mediation")
    }
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    agreed(story).await?;
    ended_by_a_party(story).await?;
    talks_fail(story).await?;
    oral::play(story).await
}

/// A quarrel that the committee has in hand.
async fn taken_up(story: &mut Story<'_>, requester: &Person<'_>, shown: (&str, &str)) -> Result<Case> {
    let stage = story.stage;
    let (window, place) = (stage.window(COMMUNITY)?, stage.unit(COMMUNITY)?);
    let case = story
        .step(
            &window,
            "窗口登记纠纷：楼上弹琴太吵，想请人调解",
            "takes in a quarrel: music upstairs, somebody should mediate",
            window.takes_in(requester, "楼上弹琴太吵，想请人调解", QUARREL, &place),
        )
        .await?;
    story.shows_case(&case.case_id, shown.0, shown.1);
    let committee = stage.org(&format!("committee:{COMMUNITY}"))?;
    expect(case.lead_org_id == committee, "the committee leads")?;
    let member = stage.leader_of(&committee)?;
    story
        .step(&member, "签收并联系当事人", "signs for it and speaks with the requester", async {
            let case = member.signs(&case).await?;
            member.contacts(&case).await
        })
        .await
}

/// A quarrel in its first session, for which a party applied.
async fn in_session(
    story: &mut Story<'_>,
    neighbours: [u64; 2],
    shown: (&str, &str),
) -> Result<(Case, Mediation)> {
    let stage = story.stage;
    let (requester, neighbour) = (stage.resident(neighbours[0])?, stage.resident(neighbours[1])?);
    let case = taken_up(story, &requester, shown).await?;
    let mediation = story
        .step(
            &requester,
            "申请调解",
            "applies for mediation",
            requester.applies_for_mediation(&case, &neighbour),
        )
        .await?;
    expect(mediation.state() == MediationState::Applied, "applied for")?;
    let mediation = talked_over(story, &neighbour, &mediation).await?;
    Ok((case, mediation))
}

/// A mediator has it, both parties consent, and the first session is held.
async fn talked_over(
    story: &mut Story<'_>,
    neighbour: &Person<'_>,
    mediation: &Mediation,
) -> Result<Mediation> {
    let stage = story.stage;
    let mediator = stage.login(&format!("mediator.{COMMUNITY}"))?;
    story.step(&mediator, "接手调解", "will mediate", mediator.takes_mediation(mediation)).await?;
    let consented = story
        .step(neighbour, "双方知悉权利，同意调解", "both are told their rights and consent", async {
            neighbour.consents(mediation, 2).await?;
            mediator.consents(mediation, 1).await
        })
        .await?;
    expect(consented.state() == MediationState::Consented, "all parties consent")?;
    story.step(&mediator, "主持调解", "sits with both", mediator.holds_session(mediation)).await
}

async fn agreed(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let shown =
        ("调解：协议、司法确认、履行", "mediation: the agreement, the court's confirmation, performance");
    let (case, mediation) = in_session(story, [6, 8], shown).await?;
    let mediator = stage.login(&format!("mediator.{COMMUNITY}"))?;
    let due = stage.now().await? + chrono::Duration::days(14);
    let agreed = story
        .step(
            &mediator,
            "达成书面协议，十四日内履行",
            "writes down what they agreed on, to be done in fourteen days",
            mediator.writes_agreement(&mediation, Some(to_proto(due))),
        )
        .await?;
    expect(agreed.state() == MediationState::Agreed, "agreed, to be signed")?;
    expect(agreed.case_state() == CaseState::InProgress, "the case goes on")?;
    let effective = story
        .step(
            &mediator,
            "双方签名，盖章生效",
            "takes the signatures and seals it",
            mediator.takes_signatures(&mediation),
        )
        .await?;
    expect(effective.state() == MediationState::Effective, "the agreement is in effect")?;
    let days = effective.deadlines.len();
    expect(days == 3, "the talks' day, which was kept, the court's thirty days, and the day agreed on")?;
    story
        .step(
            &mediator,
            "共同申请司法确认，法院裁定有效",
            "asks the court with both; it confirms",
            async {
                mediator.asks_court(&mediation).await?;
                mediator.notes_court(&mediation, CourtAnswer::Accepted).await?;
                mediator.notes_court(&mediation, CourtAnswer::Confirmed).await
            },
        )
        .await?;
    let (verifier, requester) = (stage.anyone("verifier", 0)?, stage.resident(6)?);
    let case = story.step(&verifier, "核查：已解决", "verifies: solved", verifier.verifies(&case, 5)).await?;
    let case = story
        .step(
            &requester,
            "评价并结案：调解结案，居民自治",
            "rates it; closed as mediated, by the residents themselves",
            async {
                let case = requester.rates(&case, 5).await?;
                stage.sees_state(&case, CaseState::Closed).await
            },
        )
        .await?;
    let came = (case.closed_code(), case.delivery_mode());
    expect(came == (ClosedCode::Mediated, DeliveryMode::SelfGovernance), "mediated, by self-governance")?;
    let performed = story
        .step(
            &mediator,
            "回访：协议已履行",
            "visits, and finds it done",
            mediator.finds_performed(&mediation),
        )
        .await?;
    expect(performed.state() == MediationState::Performed, "performed")?;
    let seen = stage.looks_at(&case.case_id).await?.mediation.context("the case shows the mediation")?;
    expect(seen.state() == MediationState::Performed, "the case shows that it is performed")
}

async fn ended_by_a_party(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let shown = ("调解被一方终止，街道接着办", "mediation ended by a party, the street takes over");
    let (case, mediation) = in_session(story, [9, 10], shown).await?;
    let neighbour = stage.resident(10)?;
    let ended = story
        .step(
            &neighbour,
            "不再愿意调解：随时可以终止，并被告知其他途径",
            "does not want it any more: it ends at once, with which way is open",
            neighbour.refuses_mediation(&mediation, 2),
        )
        .await?;
    expect(ended.state() == MediationState::TerminatedByParty, "ended by a party")?;
    street_takes_over(story, &case, &ended).await
}

async fn talks_fail(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let shown =
        ("调解不成，告知其他途径，街道接着办", "the talks fail: other ways are told, the street takes over");
    let (case, mediation) = in_session(story, [11, 12], shown).await?;
    let mediator = stage.login(&format!("mediator.{COMMUNITY}"))?;
    let reported = story
        .step(
            &mediator,
            "一方扬言动手：报告公安机关，调解继续",
            "tells the police that one of them threatens violence; the talks go on",
            mediator.tells_police(&mediation),
        )
        .await?;
    expect(reported.state() == MediationState::InSession, "still in session")?;
    expect(reported.escalations.len() == 1, "the report to the police is noted")?;
    let failed = story
        .step(
            &mediator,
            "未能达成协议：告知仲裁、行政、诉讼途径",
            "finds that they will not agree, and tells them of arbitration, the administration and the court",
            mediator.gives_up_talks(&mediation),
        )
        .await?;
    expect(failed.state() == MediationState::ToldOfChannels, "failed, told of the other ways")?;
    street_takes_over(story, &case, &failed).await
}

/// The parties know which way is open now, and the public service has the case.
async fn street_takes_over(story: &Story<'_>, case: &Case, ended: &Mediation) -> Result<()> {
    let stage = story.stage;
    let remedy = ended.remedy.as_ref().context("which way is open")?;
    expect(!remedy.text_zh.is_empty() && !remedy.text_en.is_empty(), "in both languages")?;
    let case = stage.looks_at(&case.case_id).await?;
    expect_state(&case, CaseState::Dispatched)?;
    expect(case.lead_org_id == stage.org("street_office:420103005")?, "the street has it now")
}
