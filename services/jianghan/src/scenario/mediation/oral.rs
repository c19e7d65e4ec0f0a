//! F5 where nobody applies: the committee offers to mediate. One party does not want it, and it never begins. Two others agree by word of
//! mouth, which is in effect at once; one of them then does not keep to it, and both are told of the court.

use anyhow::{Context, Result};
use chassis::clock::to_proto;
use proto::case_routing::v1::{
    AgreementKind, Case, CaseState, Mediation, MediationOrigin, MediationState, OpenMediationRequest,
    PartyEntry, PartyKind,
};

use super::{COMMUNITY, taken_up, talked_over};
use crate::{
    scenario::{
        stage::Person,
        story::{Story, expect},
    },
    suite::request_id,
};

impl Person<'_> {
    /// Offers to mediate between two residents.
    async fn offers_mediation(&self, case: &Case, parties: [&Person<'_>; 2]) -> Result<Mediation> {
        let party = |person: &Person<'_>, name: &str| PartyEntry {
            kind: PartyKind::Person.into(),
            person_id: person.session.account.person_id.clone(),
            name: name.to_owned(),
            ..Default::default()
        };
        let message = OpenMediationRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            origin: MediationOrigin::Committee.into(),
            parties: vec![party(parties[0], "楼下邻居"), party(parties[1], "楼上邻居")],
        };
        self.notes(&case.case_id, "OpenMediation", &message.request_id);
        let answer = self.stage.suite.mediations().open_mediation(self.asks(message).await?).await;
        self.heard("OpenMediation", answer)?.mediation.context("an answer without the mediation")
    }
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    refused(story).await?;
    not_kept(story).await
}

/// The committee has spoken with one of them, and offers to mediate.
async fn offered(
    story: &mut Story<'_>,
    parties: [&Person<'_>; 2],
    shown: (&str, &str),
) -> Result<(Case, Mediation)> {
    let case = taken_up(story, parties[0], shown).await?;
    let member = story.stage.leader_of(&case.lead_org_id)?;
    let mediation = story
        .step(
            &member,
            "不等当事人申请，居委会主动提出调解",
            "offers to mediate by itself, before a party applies",
            member.offers_mediation(&case, parties),
        )
        .await?;
    expect(mediation.state() == MediationState::Initiated, "offered")?;
    expect(mediation.origin() == MediationOrigin::Committee, "by the committee")?;
    Ok((case, mediation))
}

/// Voluntary from the first step on.
async fn refused(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let (requester, neighbour) = (stage.resident(13)?, stage.resident(14)?);
    let shown = ("主动调解被拒绝：不得强迫", "an offer to mediate that a party refuses: nobody is made to");
    let (_, mediation) = offered(story, [&requester, &neighbour], shown).await?;
    let ended = story
        .step(
            &neighbour,
            "不同意调解：调解不开始，告知其他途径",
            "does not want it: it never begins, and the other ways are told",
            neighbour.refuses_mediation(&mediation, 2),
        )
        .await?;
    expect(ended.state() == MediationState::Refused, "refused")?;
    expect(ended.sessions.is_empty(), "no session was held")?;
    let told = ended.remedy.context("which way is open")?;
    expect(!told.text_zh.is_empty() && !told.text_en.is_empty(), "in both languages")
}

async fn not_kept(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let (requester, neighbour) = (stage.resident(17)?, stage.resident(18)?);
    let shown = ("口头协议未履行：告知诉讼途径", "an oral agreement that is not kept: told of the court");
    let (case, mediation) = offered(story, [&requester, &neighbour], shown).await?;
    let mediation = talked_over(story, &neighbour, &mediation).await?;
    let mediator = stage.login(&format!("mediator.{COMMUNITY}"))?;
    let due = stage.now().await? + chrono::Duration::days(14);
    let agreed = story
        .step(
            &mediator,
            "达成口头协议，记录在案，当即生效",
            "notes what they agreed on by word of mouth, which is in effect at once",
            mediator.writes_oral_agreement(&mediation, Some(to_proto(due))),
        )
        .await?;
    expect(agreed.state() == MediationState::Effective, "in effect")?;
    let agreement = agreed.agreement.as_ref().context("an agreement")?;
    let oral = agreement.kind() == AgreementKind::Oral && !agreement.sealed;
    expect(oral && agreement.effective_time.is_some(), "without a signature or a seal")?;
    stage.sees_state(&case, CaseState::Verifying).await?;
    let broken = story
        .step(
            &mediator,
            "回访：一方表示不再履行，告知可向法院起诉",
            "visits: one of them will not keep to it any more; both are told of the court",
            mediator.finds_breached(&agreed),
        )
        .await?;
    expect(broken.state() == MediationState::ToldOfCourt, "told of the court")?;
    let told = broken.remedy.context("which way is open")?;
    expect(!told.text_zh.is_empty() && !told.text_en.is_empty(), "in both languages")
}
