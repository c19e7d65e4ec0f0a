//! F1, its fourth step: what neighbours and volunteers can do is offered to them first, if the requester agrees. Nobody is ordered:
//! one partner declines, the next one accepts and names a volunteer, whose hours count once the case is closed.

use anyhow::{Context, Result};
use proto::{
    case_routing::v1::{Case, CaseState, ClosedCode, DeliveryMode},
    volunteer_matching::v1::{
        AcceptOfferRequest, GetOfferRequest, ListServiceRecordsRequest, Offer, OfferState, ServiceRecord,
        ServiceRecordState, Volunteer,
    },
};
use tonic::Code;

use super::{
    one_window::COMMUNITY,
    stage::Person,
    story::{Story, Who, expect, expect_state},
};
use crate::{
    simulate::{best_known, volunteers},
    suite::request_id,
};

/// Posters and graffiti: the neighbours' team of the community is invited first, then the volunteers of the district.
const POSTERS: &str = "CJ-0114";
/// The volunteers of the district.
const FEDERATION: &str = "social_org:yigong";

impl Person<'_> {
    /// The offer of a case, as volunteer-matching shows it to this partner once it has arrived there.
    async fn sees_offer(&self, case: &Case) -> Result<Option<Offer>> {
        let offer_id = offered(case)?;
        let request = self.asks(GetOfferRequest { offer_id }).await?;
        match self.stage.suite.offers().get_offer(request).await {
            Err(status) if status.code() == Code::NotFound => Ok(None),
            answer => Ok(self.heard("GetOffer", answer)?.offer),
        }
    }

    /// Waits until the partner sees the offer of a case in a state.
    async fn has_offer(&self, case: &Case, state: OfferState) -> Result<Offer> {
        let arrived = async || Ok(self.sees_offer(case).await?.filter(|offer| offer.state() == state));
        self.stage.until(state.as_str_name(), arrived).await
    }

    /// Who of the partner's volunteers can do it and sign in here, the best ranked first.
    async fn chooses(&self, offer: &Offer) -> Result<Volunteer> {
        let stage = self.stage;
        let known = async || {
            let all = volunteers(&stage.suite, &self.session, &offer.org_id).await?;
            let best = best_known(offer, &all, |actor_ref| stage.actors.worker(actor_ref).is_some());
            Ok(all.into_iter().find(|volunteer| best.as_ref() == Some(&volunteer.volunteer_id)))
        };
        stage.until("a volunteer who can sign in", known).await
    }

    /// Says yes to the offer in the name of a volunteer.
    async fn accepts_for(&self, case: &Case, volunteer: &Volunteer) -> Result<()> {
        let message = AcceptOfferRequest {
            offer_id: offered(case)?,
            request_id: request_id(),
            volunteer_id: volunteer.volunteer_id.clone(),
            ..Default::default()
        };
        self.notes(&case.case_id, "AcceptOffer", &message.request_id);
        let answer = self.stage.suite.offers().accept_offer(self.asks(message).await?).await;
        self.heard("AcceptOffer", answer).map(drop)
    }

    /// The hours of an offer, once they count.
    async fn sees_hours(&self, case: &Case) -> Result<Option<ServiceRecord>> {
        let request =
            ListServiceRecordsRequest { offer_id: offered(case)?, page_size: 200, ..Default::default() };
        let answer = self.stage.suite.volunteers().list_service_records(self.asks(request).await?).await;
        let records = self.heard("ListServiceRecords", answer)?.records;
        Ok(records.into_iter().find(|record| record.state() == ServiceRecordState::Locked))
    }
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let invited = invited(story).await?;
    let case = declined(story, &invited).await?;
    helped(story, &case).await
}

fn offered(case: &Case) -> Result<String> {
    Ok(case.offer.as_ref().context("the case is offered to nobody")?.offer_id.clone())
}

/// Registered and taken in as any other; the requester lets the neighbours try first.
async fn invited(story: &mut Story<'_>) -> Result<Case> {
    let stage = story.stage;
    let (resident, window) = (stage.resident(7)?, stage.window(COMMUNITY)?);
    let place = stage.unit(COMMUNITY)?;
    let words = "楼道口贴满小广告，邻居们愿意一起清理。";
    let case = story
        .step(
            &resident,
            "登记诉求：楼道口贴满小广告",
            "registers a request: the entrance is covered with posters",
            resident.registers(words, &place),
        )
        .await?;
    story.shows_case(
        &case.case_id,
        "先邀请邻里和志愿者：一家谢绝，一家接受，时长入账",
        "neighbours and volunteers first: one partner declines, another accepts, the hours count",
    );
    let case = story
        .step(
            &window,
            "受理、研判：可由邻里自行解决，诉求人同意",
            "takes it in: neighbours can solve it, and the requester agrees",
            async {
                let case = window.accepts(&case).await?;
                window.triages(&case, POSTERS, true).await
            },
        )
        .await?;
    let case = story
        .step(
            &window,
            "不派单，先限时邀请社区邻里互助队",
            "does not dispatch it yet: the neighbours' team is invited, for a limited time",
            window.dispatches(&case),
        )
        .await?;
    expect_state(&case, CaseState::OfferedToSociety)?;
    let offer = case.offer.as_ref().context("the case is offered")?;
    expect(
        offer.partner_org_id == stage.org(&format!("group:{COMMUNITY}"))?,
        "to the team of the community",
    )?;
    expect(!offer.confirmed && offer.due_time.is_some(), "for a limited time")?;
    expect(case.tasks.is_empty(), "nobody is ordered")?;
    Ok(case)
}

/// A partner owes no reason. The next one in the item's chain is asked.
async fn declined(story: &mut Story<'_>, case: &Case) -> Result<Case> {
    let stage = story.stage;
    let before = offered(case)?;
    let team = stage.leader_of(&stage.org(&format!("group:{COMMUNITY}"))?)?;
    story
        .step(&team, "谢绝：近期没有人手", "declines: it has nobody to spare", async {
            team.has_offer(case, OfferState::Offered).await?;
            team.declines_offer(case).await
        })
        .await?;
    let case = story
        .step(
            Who::Services,
            "按事项约定的顺序，改邀区义工联",
            "invite the next partner of the item: the volunteers of the district",
            stage.sees(case, "the next partner to be invited", |case| {
                case.offer.as_ref().is_some_and(|offer| offer.offer_id != before)
            }),
        )
        .await?;
    expect_state(&case, CaseState::OfferedToSociety)?;
    let asked = case.offer.as_ref().map(|offer| offer.partner_org_id.clone());
    expect(asked == Some(stage.org(FEDERATION)?), "the volunteers of the district are asked")?;
    Ok(case)
}

/// Accepted in a volunteer's name, which binds once case-routing says so; done, verified, rated, closed, and counted.
async fn helped(story: &mut Story<'_>, case: &Case) -> Result<()> {
    let stage = story.stage;
    let federation = stage.leader_of(&stage.org(FEDERATION)?)?;
    let (case, named) = story
        .step(
            &federation,
            "按排序指名一位志愿者，接受邀请",
            "names a volunteer as they were ranked, and accepts",
            async {
                let offer = federation.has_offer(case, OfferState::Offered).await?;
                let named = federation.chooses(&offer).await?;
                federation.accepts_for(case, &named).await?;
                let case = stage.sees_state(case, CaseState::InProgress).await?;
                federation.has_offer(&case, OfferState::Confirmed).await?;
                Ok((case, named))
            },
        )
        .await?;
    expect(case.lead_org_id == stage.org(FEDERATION)?, "the partner leads")?;
    expect(case.offer.as_ref().is_some_and(|offer| offer.confirmed), "by an offer that was confirmed")?;
    let volunteer = stage.volunteer(&named)?;
    let case = story
        .step(
            &volunteer,
            "到场清理，报九十分钟，上传照片",
            "cleans it, tells ninety minutes, hands in a photograph",
            async {
                volunteer.helped(&case).await?;
                stage.sees_state(&case, CaseState::Verifying).await
            },
        )
        .await?;
    let verifier = stage.anyone("verifier", 0)?;
    let case = story
        .step(
            &verifier,
            "第三方核查并回访：已解决",
            "verifies it with the requester: solved",
            verifier.verifies(&case, 5),
        )
        .await?;
    expect_state(&case, CaseState::Resolved)?;
    let resident = stage.resident(7)?;
    let case = story
        .step(&resident, "评价：非常满意；结案", "rates it, very satisfied; it is closed", async {
            let case = resident.rates(&case, 5).await?;
            stage.sees_state(&case, CaseState::Closed).await
        })
        .await?;
    let came = (case.closed_code(), case.delivery_mode());
    expect(came == (ClosedCode::SelfGoverned, DeliveryMode::Volunteer), "solved by volunteers")?;
    let record = story
        .step(
            &federation,
            "查看服务记录：结案后时长锁定",
            "sees the hours locked now that the case is closed",
            stage.until("the hours to count", async || federation.sees_hours(&case).await),
        )
        .await?;
    expect(record.minutes == 90 && record.volunteer_id == named.volunteer_id, "the hours of whoever did it")
}
