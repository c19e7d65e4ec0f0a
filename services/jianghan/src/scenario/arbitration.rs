//! F3: two departments say that it is the other's. Their lowest common superior rules; the requester's day stands, and the
//! ruling goes into the next responsibility list, by which another case goes (see `precedent`). Of another ruling the one review is
//! asked for (see `review`). What the dispatcher decides by itself goes before all of them (see `objection`).

use anyhow::{Context, Result};
use prost_types::Timestamp;
use proto::case_routing::v1::{Case, CaseState, ListPrecedentsRequest, Precedent};

use super::{
    objection,
    one_window::COMMUNITY,
    precedent, review,
    stage::Stage,
    story::{Story, Who, expect, expect_state},
};

/// Benches and litter bins: led by the department of urban management. Whatever is ruled of them concerns no other scenario.
pub const BENCH: &str = "CJ-0163";
/// Who might have to look after street lamps, and after benches.
const DEPARTMENTS: [&str; 2] = ["dept:urban_management", "dept:construction"];

/// Registered by a resident, taken in and dispatched by the window.
pub(super) async fn dispatched(
    story: &mut Story<'_>,
    item: &str,
    text: &str,
    about: (&str, &str),
) -> Result<Case> {
    let stage = story.stage;
    let (resident, window) = (stage.resident(3)?, stage.window(COMMUNITY)?);
    let place = stage.unit(COMMUNITY)?;
    let case = story.step(&resident, about.0, about.1, resident.registers(text, &place)).await?;
    let case = story
        .step(&window, "受理、研判、派单", "takes it in, says what it is, dispatches it", async {
            let case = window.accepts(&case).await?;
            let case = window.triages(&case, item, false).await?;
            window.dispatches(&case).await
        })
        .await?;
    expect_state(&case, CaseState::Dispatched)?;
    Ok(case)
}

/// A case whose lead names another.
pub(super) struct Dispute {
    /// As it stands now.
    pub case: Case,
    /// Who was to lead, and objected.
    pub objector: String,
    /// Who leads in the objector's view.
    pub named: String,
    /// The requester's day.
    pub promised: Option<Timestamp>,
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    precedent::clears_the_way(story).await?;
    objection::play(story).await?;
    let ruling = ruled(story).await?;
    precedent::is_followed(story, &ruling).await?;
    review::play(story).await
}

/// The lead objects and names another department.
pub(super) async fn objected(
    story: &mut Story<'_>,
    item: &str,
    text: &str,
    about: (&str, &str),
    shown: (&str, &str),
) -> Result<Dispute> {
    let stage = story.stage;
    let case = dispatched(story, item, text, about).await?;
    story.shows_case(&case.case_id, shown.0, shown.1);
    let objector = case.lead_org_id.clone();
    let mut named = None;
    for code in DEPARTMENTS {
        named = Some(stage.org(code)?).filter(|org| *org != objector).or(named);
    }
    let named = named.context("another department")?;
    let promised = case.resolve_due_time;
    let leader = stage.leader_of(&objector)?;
    let case = story
        .step(
            &leader,
            "提出异议：不属本单位职责，建议另一部门",
            "objects: not its duty, names another department",
            leader.objects(&case, &named),
        )
        .await?;
    Ok(Dispute { case, objector, named, promised })
}

/// In arbitration, and both departments were heard.
pub(super) async fn both_heard(
    story: &mut Story<'_>,
    item: &str,
    text: &str,
    about: (&str, &str),
    shown: (&str, &str),
) -> Result<Dispute> {
    let stage = story.stage;
    let Dispute { case, objector, named, promised } = objected(story, item, text, about, shown).await?;
    let dispatcher = stage.dispatcher()?;
    let case = story
        .step(
            &dispatcher,
            "送交职责裁定：由双方最低的共同上级裁定",
            "sends it to arbitration by the lowest superior that both have",
            dispatcher.arbitrates(&case),
        )
        .await?;
    let objection = case.objection.clone().context("the case shows the objection")?;
    expect(objection.party_org_ids == [objector.clone(), named.clone()], "both are parties")?;
    expect(objection.arbiter_org_id == stage.org("gov:420103")?, "the lowest that stands above both")?;
    let stands_in = objection.interim_org_id == case.first_receiver_org_id;
    expect(
        stands_in && !objection.interim_measure_code.is_empty(),
        "the first receiver stands in meanwhile",
    )?;
    let leader = stage.leader_of(&objector)?;
    let case = story
        .step(
            &leader,
            "陈述意见：应由对方主办",
            "says that the other leads",
            leader.takes_position(&case, &named),
        )
        .await?;
    let other = stage.leader_of(&named)?;
    let case = story
        .step(
            &other,
            "陈述意见：应由对方主办",
            "says that the other leads",
            other.takes_position(&case, &objector),
        )
        .await?;
    Ok(Dispute { case, objector, named, promised })
}

/// What came of an arbitration for other cases, if anything did.
pub(super) async fn precedent_of(stage: &Stage, case: &Case) -> Result<Option<Precedent>> {
    let dispatcher = stage.dispatcher()?;
    let request = dispatcher.asks(ListPrecedentsRequest { page_size: 200, ..Default::default() }).await?;
    let answer = stage.suite.responsibilities().list_precedents(request).await;
    let all = dispatcher.heard("ListPrecedents", answer)?.precedents;
    Ok(all.into_iter().find(|known| known.case_id == case.case_id))
}

async fn ruled(story: &mut Story<'_>) -> Result<Precedent> {
    let stage = story.stage;
    let text = "路边的公共座椅坏了，几家单位都说不归自己管。";
    let about = (
        "登记诉求：公共座椅坏了，几家单位都说不归自己管",
        "registers a request: a broken bench that nobody looks after",
    );
    let shown = (
        "职责裁定：异议、各方意见、裁定和依据",
        "arbitration: the objection, the positions of the parties, the ruling and its basis",
    );
    let Dispute { case, objector, named, promised } = both_heard(story, BENCH, text, about, shown).await?;
    let arbiter = stage.anyone("arbiter", 0)?;
    let case = story
        .step(
            &arbiter,
            "裁定由被指名部门主办，并作为先例",
            "rules that the department named leads, as a precedent",
            arbiter.rules(&case, &named),
        )
        .await?;
    expect_state(&case, CaseState::Dispatched)?;
    expect(case.lead_org_id == named, "the department named leads")?;
    expect(case.resolve_due_time == promised, "the requester's day stands")?;
    expect(case.lead_change_count == 1, "one change of lead is counted")?;
    let other = stage.leader_of(&named)?;
    let case = story.step(&other, "服从裁定，签收", "obeys and signs for it", other.signs(&case)).await?;
    let state = case.objection.as_ref().map(|known| known.state.clone());
    expect(state.as_deref() == Some("final"), "the ruling is final")?;
    let case = seen_to(story, &case).await?;
    story
        .step(Who::Services, "先例写入清单修订建议", "the precedent waits for the next list", async {
            let own = precedent_of(stage, &case).await?.context("the precedent of this case")?;
            let parts = own.lead_org_id == named && own.relieved_org_id == objector;
            expect(parts, "who leads and who does not")?;
            Ok(own)
        })
        .await
}

/// Whoever was ruled to lead does the work; the requester rates it, and it is closed.
async fn seen_to(story: &mut Story<'_>, case: &Case) -> Result<Case> {
    let stage = story.stage;
    let (handler, verifier) = (stage.handler_of(&case.lead_org_id)?, stage.anyone("verifier", 0)?);
    let case = story
        .step(&handler, "联系诉求人，办结", "speaks with the requester, and says it is done", async {
            let case = handler.contacts(case).await?;
            handler.completes(&case).await
        })
        .await?;
    let case =
        story.step(&verifier, "核查：已解决", "verifies it: solved", verifier.verifies(&case, 4)).await?;
    let resident = stage.resident(3)?;
    let case = story
        .step(&resident, "评价：满意；结案", "rates it, satisfied; it is closed", async {
            let case = resident.rates(&case, 4).await?;
            stage.sees_state(&case, CaseState::Closed).await
        })
        .await?;
    expect(case.lead_change_count == 1, "it went from one lead to another once")?;
    Ok(case)
}
