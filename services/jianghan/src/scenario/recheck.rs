//! F2, its seventh step: an allowance lasts. Whoever has it carries a tag until the review day. On that day the re-checks begin by
//! themselves; one finds that the allowance goes on, the other ends it, in writing with reasons and remedies.

use anyhow::{Context, Result};
use chrono::{DateTime, Duration, Utc};
use proto::{
    case_routing::v1::{Application, ApplicationState, BenefitState, RecheckOutcome, RemedyKind},
    identity::v1::{GetPersonTagsRequest, PersonTag},
};

use super::{
    application::looked_into,
    one_window::COMMUNITY,
    stage::Person,
    story::{Story, Who, expect},
};
use crate::simulate::clock::instant;

/// What the item tags people with.
const TAG: &str = "dibao";

/// An allowance that somebody has.
pub(super) struct Granted<'s> {
    pub application: Application,
    pub holder: Person<'s>,
}

impl Person<'_> {
    /// The tag of an allowance, as identity shows it to this reader; none when its holder does not carry it.
    async fn sees_tag(&self, of: &Granted<'_>) -> Result<Option<PersonTag>> {
        let person_id = of.holder.session.account.person_id.clone();
        let request = self.asks(GetPersonTagsRequest { person_id }).await?;
        let answer = self.stage.suite.people().get_person_tags(request).await;
        let tags = self.heard("GetPersonTags", answer)?.tags;
        Ok(tags.into_iter().find(|tag| tag.benefit_id == of.application.case_id))
    }

    /// The re-check of an allowance, once it has begun.
    async fn sees_recheck(&self, of: &Granted<'_>) -> Result<Application> {
        let begun = async || {
            let benefit = self.reads(&of.application).await?.benefit.context("a benefit")?;
            let open = benefit.rechecks.into_iter().find(|one| one.outcome() == RecheckOutcome::Open);
            Ok(open.map(|one| one.case_id))
        };
        let case_id = self.stage.until("the re-check to begin", begun).await?;
        self.reads(&Application { case_id, ..Default::default() }).await
    }
}

pub(super) async fn play(story: &mut Story<'_>, goes_on: Granted<'_>, ends: Granted<'_>) -> Result<()> {
    let stage = story.stage;
    let reader = stage.dispatcher()?;
    let review = tagged(story, &goes_on).await?.max(tagged(story, &ends).await?);
    story
        .step(Who::Time, "三个月后，复核日到", "three months pass: the review day comes", async {
            let ahead = (review - stage.now().await?).max(Duration::zero());
            stage.pass(ahead).await?;
            stage.to_the_next_morning().await
        })
        .await?;
    renewed(story, &reader, &goes_on, review).await?;
    ended(story, &reader, &ends).await
}

/// The holder carries the tag; gives its review day.
async fn tagged(story: &mut Story<'_>, of: &Granted<'_>) -> Result<DateTime<Utc>> {
    let stage = story.stage;
    let reader = stage.dispatcher()?;
    let tag = story
        .step(
            &reader,
            "居民信息中有低保标签和复核日",
            "sees the resident tagged, with the review day",
            stage.until("the tag", async || reader.sees_tag(of).await),
        )
        .await?;
    expect(tag.tag_code == TAG && !tag.review_due, "tagged by the item, with the review to come")?;
    let own = of.holder.sees_tag(of).await?;
    expect(own == Some(tag.clone()), "residents see their own")?;
    tag.review_time.as_ref().and_then(instant).context("a review day")
}

/// The re-check has begun by itself, as a case that somebody has to deal with.
async fn begun(story: &mut Story<'_>, reader: &Person<'_>, of: &Granted<'_>) -> Result<Application> {
    let stage = story.stage;
    let recheck = story
        .step(
            Who::Services,
            "到期自动发起复核，交主管部门和社区窗口",
            "begin the re-check and give it to the department and the community's window",
            reader.sees_recheck(of),
        )
        .await?;
    expect(recheck.recheck_of_case_id == of.application.case_id, "of this allowance")?;
    expect(recheck.state() == ApplicationState::Accepted, "taken in by itself")?;
    let case = stage.looks_at(&recheck.case_id).await?;
    let station = stage.org(&format!("station:{COMMUNITY}"))?;
    expect(case.parent_case_id == of.application.case_id, "the application that began it stands behind it")?;
    expect(case.first_receiver_org_id == station, "received by the community's window")?;
    expect(case.lead_org_id == stage.org("dept:civil_affairs")?, "decided by the department")?;
    expect(case.tasks.iter().any(|task| task.org_id == station), "the window has its part")?;
    let officer = stage.handler_of(&case.lead_org_id)?;
    story.step(&officer, "启动复核调查", "has the facts looked into again", officer.begins(&recheck)).await
}

async fn renewed(
    story: &mut Story<'_>,
    reader: &Person<'_>,
    of: &Granted<'_>,
    review: DateTime<Utc>,
) -> Result<()> {
    let stage = story.stage;
    let recheck = begun(story, reader, of).await?;
    story.shows_case(
        &recheck.case_id,
        "低保到期复核：继续享受，定下一复核日",
        "the re-check of an allowance: it goes on, to another review day",
    );
    let recheck = looked_into(story, recheck, true).await?;
    let (leader, officer) =
        (stage.login("leader.civil_affairs")?, stage.handler_of(&stage.org("dept:civil_affairs")?)?);
    let recheck = story
        .step(&leader, "复核符合条件，继续发放", "finds that it goes on, and it is paid", async {
            let recheck = leader.grants(&recheck).await?;
            officer.pays(&recheck).await
        })
        .await?;
    expect(recheck.state() == ApplicationState::Delivered, "delivered")?;
    let later = async || {
        let tag = reader.sees_tag(of).await?;
        let next = tag.as_ref().and_then(|tag| tag.review_time.as_ref()).and_then(instant);
        Ok(next.filter(|next| *next > review).map(drop))
    };
    story
        .step(
            reader,
            "标签续期至下一复核日",
            "sees the tag renewed, to the next review day",
            stage.until("the tag to be renewed", later),
        )
        .await?;
    let benefit = reader.reads(&of.application).await?.benefit.context("a benefit")?;
    expect(benefit.state() == BenefitState::Active, "it goes on")?;
    expect(benefit.rechecks.iter().any(|one| one.outcome() == RecheckOutcome::Renewed), "renewed")
}

async fn ended(story: &mut Story<'_>, reader: &Person<'_>, of: &Granted<'_>) -> Result<()> {
    let stage = story.stage;
    let recheck = begun(story, reader, of).await?;
    story.shows_case(
        &recheck.case_id,
        "低保到期复核：书面终止，附理由和救济途径",
        "the re-check of an allowance: ended in writing, with reasons and remedies",
    );
    let recheck = looked_into(story, recheck, false).await?;
    let leader = stage.login("leader.civil_affairs")?;
    let recheck = story
        .step(
            &leader,
            "书面终止低保：写明理由、复议和诉讼期限",
            "ends it in writing: reasons, and until when reconsideration and litigation are open",
            leader.refuses(&recheck),
        )
        .await?;
    let read =
        story.step(&of.holder, "查看终止决定书", "reads the decision", of.holder.reads(&recheck)).await?;
    let decision = read.decision.context("a decision")?;
    let remedies: Vec<RemedyKind> = decision.remedies.iter().map(|remedy| remedy.kind()).collect();
    expect(remedies == [RemedyKind::Reconsideration, RemedyKind::Litigation], "both remedies")?;
    expect(!decision.written_reason.is_empty(), "with its reasons")?;
    let gone = async || Ok(reader.sees_tag(of).await?.is_none().then_some(()));
    story
        .step(
            reader,
            "低保标签随之移除",
            "sees that the tag is gone with it",
            stage.until("the tag to be gone", gone),
        )
        .await?;
    let benefit = reader.reads(&of.application).await?.benefit.context("a benefit")?;
    expect(benefit.state() == BenefitState::Ended, "it has ended")
}
