//! F1, its second step: what the window does with a request that does not go the usual way. An emergency is handed to its own line at
//! once, a repeat joins the request that somebody works on, and what belongs to another channel is not taken in, by a human, who
//! says which.

use anyhow::{Context, Result};
use proto::case_routing::v1::{Case, CaseState, ClosedCode, FindDuplicatesRequest};

use super::{
    one_window::{COMMUNITY, LAMP},
    stage::Person,
    story::{Story, expect, expect_state},
};

/// The line of the fire brigade.
const FIRE: &str = "119";
/// What belongs to the courts; of the seeded reasons.
const LITIGATION: &str = "litigation";

impl Person<'_> {
    /// Whether a case is among those that may be of the same matter as another, and may take it in.
    async fn finds_it_repeated(&self, case: &Case, earlier: &Case) -> Result<bool> {
        let request = FindDuplicatesRequest { case_id: case.case_id.clone(), page_size: 50 };
        let answer = self.stage.suite.intake().find_duplicates(self.asks(request).await?).await;
        let candidates = self.heard("FindDuplicates", answer)?.candidates;
        Ok(candidates.iter().any(|candidate| {
            let found = candidate.case.as_ref().is_some_and(|found| found.case_id == earlier.case_id);
            found && candidate.takes_others && !candidate.reasons.is_empty()
        }))
    }
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    handed_off(story).await?;
    merged(story).await?;
    not_accepted(story).await
}

async fn handed_off(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let (resident, window) = (stage.resident(8)?, stage.window(COMMUNITY)?);
    let place = stage.unit(COMMUNITY)?;
    let case = story
        .step(
            &resident,
            "登记：楼道里冒烟，有焦味",
            "registers: there is smoke in the staircase",
            resident.registers("楼道里冒烟，有焦味，怕是着火了。", &place),
        )
        .await?;
    story.shows_case(
        &case.case_id,
        "紧急情况立即转火警专线",
        "an emergency, handed to the fire brigade at once",
    );
    let case = story
        .step(
            &window,
            "不受理不派单，立即转 119",
            "neither takes it in nor dispatches it: hands it to 119 at once",
            window.hands_off(&case, FIRE),
        )
        .await?;
    expect_state(&case, CaseState::HandedOff)?;
    expect(case.closed_code() == ClosedCode::HandedOff, "handed off")
}

/// Two neighbours, one matter: both hear the same outcome, and both requests are counted.
async fn merged(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let (first, second) = (stage.resident(9)?, stage.resident(10)?);
    let (window, place) = (stage.window(COMMUNITY)?, stage.unit(COMMUNITY)?);
    let words = "社区门口的路灯罩破了，玻璃掉在地上。";
    let earlier = story
        .step(
            &window,
            "受理并派单：路灯罩破了",
            "takes in a broken street lamp and dispatches it",
            window.takes_in(&first, words, LAMP, &place),
        )
        .await?;
    story.shows_case(&earlier.case_id, "并入了一件重复诉求", "a request that a repeat was merged into");
    let case = story
        .step(
            &second,
            "另一位居民登记同一件事",
            "registers the same matter, as another resident",
            second.registers(words, &place),
        )
        .await?;
    story.shows_case(&case.case_id, "重复诉求：并单，结果一致", "a repeat: merged, with the same outcome");
    let case = story
        .step(&window, "查重并确认并单", "finds the repeat and merges it", async {
            let found = window.finds_it_repeated(&case, &earlier).await?;
            expect(found, "the earlier request among those alike")?;
            window.merges(&case, &earlier.case_id).await
        })
        .await?;
    expect_state(&case, CaseState::Merged)?;
    expect(case.merged_into_case_id == earlier.case_id, "it belongs to the earlier one")?;
    let (leader, handler) = (stage.leader_of(&earlier.lead_org_id)?, stage.handler_of(&earlier.lead_org_id)?);
    let signed = story.step(&leader, "签收任务", "signs for the task", leader.signs(&earlier)).await?;
    let done = story
        .step(&handler, "联系、办结", "speaks with the requester, completes it", async {
            let contacted = handler.contacts(&signed).await?;
            handler.completes(&contacted).await
        })
        .await?;
    let verifier = stage.anyone("verifier", 0)?;
    let verified =
        story.step(&verifier, "核查：已解决", "verifies: solved", verifier.verifies(&done, 5)).await?;
    story
        .step(&first, "评价；结案", "rates it; it is closed", async {
            let rated = first.rates(&verified, 5).await?;
            stage.sees_state(&rated, CaseState::Closed).await
        })
        .await?;
    let case = story
        .step(&second, "并入的一方看到同一结果", "sees the same outcome", second.reads_case(&case))
        .await?;
    let original = case.original.as_ref().context("how the other request stands")?;
    expect(original.state() == CaseState::Closed, "the other request is closed")?;
    expect(original.closed_code() == ClosedCode::Resolved, "and solved")
}

async fn not_accepted(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let (resident, window) = (stage.resident(8)?, stage.window(COMMUNITY)?);
    let place = stage.unit(COMMUNITY)?;
    let case = story
        .step(
            &resident,
            "登记：对法院判决的赔偿数额不服",
            "registers: does not agree with what a court awarded",
            resident.registers("法院判的赔偿太少，请政府改判。", &place),
        )
        .await?;
    story.shows_case(&case.case_id, "不予受理：告知诉讼途径", "not taken in: told of the courts");
    let case = story
        .step(
            &window,
            "由人工决定不予受理，写明理由，告知诉讼途径",
            "does not take it in, as a human, with the reason and the channel that is open",
            window.declines_case(&case, LITIGATION),
        )
        .await?;
    expect_state(&case, CaseState::NotAccepted)?;
    expect(case.closed_code() == ClosedCode::Declined, "declined")?;
    let reasons = case.routing.as_ref().map(|routing| routing.reasons.as_slice()).unwrap_or_default();
    let why = reasons.iter().find(|reason| reason.code == LITIGATION).context("why it is not taken in")?;
    expect(!why.text_zh.is_empty() && !why.text_en.is_empty(), "in both languages")
}
