//! F3, what comes of its fifth step: on the day from which it holds, a precedent goes into the next version of the responsibility list.
//! One person drafts it, another puts it in force, and a case goes by it at once, without any dispute. Then the version is taken
//! back, also where something went wrong: whoever plays this again finds the list as it was. What a play that was stopped left in
//! force is taken back before another one begins.

use anyhow::{Context, Result};
use proto::case_routing::v1::{
    ActivateListVersionRequest, CreateListVersionRequest, ListEntry, ListListEntriesRequest,
    ListListVersionsRequest, ListPart, ListState, ListVersion, Precedent, RollBackListVersionRequest,
};

use super::{
    arbitration::{BENCH, dispatched},
    stage::Person,
    story::{Story, Who, expect},
};
use crate::suite::request_id;

impl Person<'_> {
    /// Drafts a version of the list in force with a precedent.
    async fn drafts(&self, precedent: &Precedent) -> Result<ListVersion> {
        let message = CreateListVersionRequest {
            request_id: request_id(),
            reason_code: "precedent".into(),
            precedent_ids: vec![precedent.precedent_id.clone()],
            ..Default::default()
        };
        self.notes(&precedent.precedent_id, "CreateListVersion", &message.request_id);
        let answer = self.stage.suite.responsibilities().create_list_version(self.asks(message).await?).await;
        self.heard("CreateListVersion", answer)?.version.context("an answer without the version")
    }

    /// Entries of the item that come from precedents.
    async fn sees_precedents_in(&self, version: &ListVersion) -> Result<Vec<ListEntry>> {
        let message = ListListEntriesRequest {
            list_version: version.list_version,
            page_size: 1000,
            item_code: BENCH.into(),
            ..Default::default()
        };
        let answer = self.stage.suite.responsibilities().list_list_entries(self.asks(message).await?).await;
        let mut entries = self.heard("ListListEntries", answer)?.entries;
        entries.retain(|entry| !entry.precedent_id.is_empty());
        Ok(entries)
    }

    /// The version in force, where it says something of the item by a precedent: a play was stopped before it took that back.
    async fn sees_left_in_force(&self) -> Result<Option<ListVersion>> {
        let message = ListListVersionsRequest { page_size: 200, ..Default::default() };
        let answer = self.stage.suite.responsibilities().list_list_versions(self.asks(message).await?).await;
        let mut versions = self.heard("ListListVersions", answer)?.versions.into_iter();
        let Some(version) = versions.find(|version| version.state() == ListState::InForce) else {
            return Ok(None);
        };
        let left = !self.sees_precedents_in(&version).await?.is_empty();
        Ok(left.then_some(version))
    }

    /// Puts a version in force, at once.
    async fn puts_in_force(&self, version: &ListVersion) -> Result<ListVersion> {
        let message = ActivateListVersionRequest {
            list_version: version.list_version,
            request_id: request_id(),
            ..Default::default()
        };
        self.notes(&version.list_version.to_string(), "ActivateListVersion", &message.request_id);
        let answer =
            self.stage.suite.responsibilities().activate_list_version(self.asks(message).await?).await;
        self.heard("ActivateListVersion", answer)?.version.context("an answer without the version")
    }

    /// Takes a version back.
    async fn takes_list_back(&self, version: &ListVersion) -> Result<ListVersion> {
        let message = RollBackListVersionRequest {
            list_version: version.list_version,
            request_id: request_id(),
            reason_code: "demonstration_over".into(),
        };
        self.notes(&version.list_version.to_string(), "RollBackListVersion", &message.request_id);
        let answer =
            self.stage.suite.responsibilities().roll_back_list_version(self.asks(message).await?).await;
        self.heard("RollBackListVersion", answer)?.version.context("an answer without the version")
    }
}

pub(super) async fn is_followed(story: &mut Story<'_>, precedent: &Precedent) -> Result<()> {
    let stage = story.stage;
    let (dispatcher, arbiter) = (stage.dispatcher()?, stage.anyone("arbiter", 0)?);
    // No time passes with the version in force: duties that come or go with a day would make another of it.
    story
        .step(
            Who::Time,
            "先例开始适用之日到",
            "the day comes from which the precedent holds",
            stage.to_the_next_morning(),
        )
        .await?;
    let (draft, entries) = story
        .step(
            &dispatcher,
            "起草新版责任清单，写入先例",
            "drafts the next version of the responsibility list with the precedent",
            async {
                let draft = dispatcher.drafts(precedent).await?;
                let entries = dispatcher.sees_precedents_in(&draft).await?;
                Ok((draft, entries))
            },
        )
        .await?;
    let has = |org_id: &str, part: ListPart| {
        let of_org = |entry: &ListEntry| stage.org(&entry.org_code).is_ok_and(|known| known == org_id);
        entries.iter().any(|entry| entry.part() == part && of_org(entry))
    };
    expect(has(&precedent.lead_org_id, ListPart::Lead), "the department of the ruling may lead")?;
    expect(has(&precedent.relieved_org_id, ListPart::Negative), "the one that was relieved may not")?;
    expect(entries.iter().all(|entry| entry.valid_from == precedent.effective_on), "from that day on")?;
    let version = story
        .step(
            &arbiter,
            "由另一人审定，新版清单施行",
            "approves it, as another: the version is in force",
            arbiter.puts_in_force(&draft),
        )
        .await?;
    let shown = shows_what_follows(story, precedent, &entries).await;
    let version = story
        .step(
            &dispatcher,
            "演示结束，撤回该版清单",
            "takes the version back, as it was only shown",
            dispatcher.takes_list_back(&version),
        )
        .await;
    shown?;
    expect(version?.state() == ListState::Withdrawn, "taken back")
}

/// A case that goes by the precedent, in a version that is in force.
async fn shows_what_follows(
    story: &mut Story<'_>,
    precedent: &Precedent,
    entries: &[ListEntry],
) -> Result<()> {
    let stage = story.stage;
    let text = "路边的公共座椅又坏了，请派人来修。";
    let about = ("登记诉求：同类座椅又坏一把", "registers a request: another broken bench");
    let case = dispatched(story, BENCH, text, about).await?;
    story.shows_case(
        &case.case_id,
        "按先例直接派单：不再有争议",
        "dispatched by the precedent at once: no dispute any more",
    );
    expect(case.lead_org_id == precedent.lead_org_id, "the department of the ruling leads")?;
    let rules = case.routing.as_ref().map(|routing| routing.rule_ids.as_slice()).unwrap_or_default();
    let by_precedent = |rule: &String| entries.iter().any(|entry| entry.rule_id == *rule);
    expect(rules.iter().any(by_precedent), "the precedent is given as the reason")?;
    let leader = stage.leader_of(&case.lead_org_id)?;
    story
        .step(&leader, "签收，不再提出异议", "signs for it, and does not object", leader.signs(&case))
        .await?;
    Ok(())
}

/// How many versions that were left in force are taken back at most; each was made from the one before.
const LEFT: usize = 4;

/// Takes back what plays that were stopped left in force.
pub(super) async fn clears_the_way(story: &mut Story<'_>) -> Result<()> {
    let dispatcher = story.stage.dispatcher()?;
    for _ in 0..LEFT {
        let Some(version) = dispatcher.sees_left_in_force().await? else { break };
        story
            .step(
                &dispatcher,
                "先撤回上次演示中断时留下的清单",
                "first takes back the list that a stopped play left in force",
                dispatcher.takes_list_back(&version),
            )
            .await?;
    }
    Ok(())
}
