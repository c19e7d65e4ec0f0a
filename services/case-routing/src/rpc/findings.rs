//! What is found on a patrol: it opens a case, is put right on the spot, or repeats a case that is open, which hears of it.

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{AggregateStore, Commands, Executor, Meta, once},
    db::Tx,
    proto::case_routing::v1 as pb,
};
use uuid::Uuid;

use super::{
    desk::Desk,
    founding::{Founding, Matter},
    parse,
    parts::evidence,
    patrols::{finding_shown, mine},
    register::client_key,
    registers::component_at,
};
use crate::{
    atlas::World,
    codes,
    domain::{
        Act, Case, CaseId, CaseState, Channel, Nature, OnTheSpot, Origin, Point, RemarkKind, Urgency,
        patrol::{FindingOutcome, is_component_code, is_drawn, is_of_field, is_point},
    },
    registers,
    remark::{Saying, Words},
    seed::Item,
    store::{
        case_store::CaseStore,
        patrols::{self as store, Finding, Patrol, Told},
    },
    verb::Verb,
};

/// What a request says, checked as far as it alone tells.
struct Report {
    patrol_id: Uuid,
    client_ref: Option<String>,
    item_code: String,
    component_code: Option<String>,
    place: Option<Uuid>,
    text: String,
    condition_met: bool,
    solved: bool,
    before: Vec<String>,
    after: Vec<String>,
    point: Option<(f64, f64)>,
    found_at: Option<Timestamp>,
    urgency: Urgency,
}

/// A client's own reference.
pub(super) fn client_ref(text: &str) -> Result<Option<String>> {
    if text.len() > 64 || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Error::invalid("client_ref", "must have at most 64 visible ASCII characters"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

impl TryFrom<&pb::ReportFindingRequest> for Report {
    type Error = Error;

    fn try_from(request: &pb::ReportFindingRequest) -> Result<Self> {
        let component_code = Some(request.component_code.clone()).filter(|code| !code.is_empty());
        if component_code.as_deref().is_some_and(|code| !is_component_code(code)) {
            return Err(Error::invalid("component_code", "must have 16 digits"));
        }
        let point = match (request.longitude, request.latitude) {
            (None, None) => None,
            (Some(longitude), Some(latitude)) if is_point(longitude, latitude) => Some((longitude, latitude)),
            (Some(longitude), Some(_)) if is_point(longitude, 0.0) => {
                return Err(Error::invalid("latitude", "must be degrees between -90 and 90"));
            }
            (Some(_), Some(_)) => {
                return Err(Error::invalid("longitude", "must be degrees between -180 and 180"));
            }
            (None, Some(_)) => return Err(Error::invalid("longitude", "both or neither")),
            (Some(_), None) => return Err(Error::invalid("latitude", "both or neither")),
        };
        Ok(Self {
            patrol_id: parse::id("patrol_id", &request.patrol_id)?,
            client_ref: client_ref(&request.client_ref)?,
            item_code: parse::filter("item_code", &request.item_code)?.unwrap_or_default(),
            component_code,
            place: parse::optional_id("place_unit_id", &request.place_unit_id)?,
            text: parse::words("text", &request.text, 1, 4_000)?,
            condition_met: request.condition_met,
            solved: request.solved,
            before: parse::references("before_refs", &request.before_refs)?,
            after: parse::references("after_refs", &request.after_refs)?,
            point,
            found_at: parse::optional_time("found_time", request.found_time.as_ref())?,
            urgency: parse::word("urgency", request.urgency, codes::urgency_from, Some(Urgency::Normal))?,
        })
    }
}

impl Report {
    /// The item, if it can be found on patrol, and what else depends on it.
    fn checked<'w>(&self, world: &'w World, now: Timestamp) -> Result<&'w Item> {
        let item = world.item(&self.item_code, now);
        let item = item.ok_or_else(|| Error::invalid("item_code", "no such item in the catalogue"))?;
        if !is_of_field(item.nature) || !item.channels.contains(&Channel::Patrol) {
            return Err(Error::invalid("item_code", "is nothing that is found on patrol"));
        }
        if item.nature == Nature::Component && self.component_code.is_none() {
            return Err(Error::invalid("component_code", "is needed for this item"));
        }
        if !self.condition_met {
            return Err(Error::invalid("condition_met", "the finder confirms the item's opening condition"));
        }
        if self.before.is_empty() {
            return Err(Error::invalid("before_refs", "at least one photo or document of how it was"));
        }
        if self.solved && self.after.is_empty() {
            return Err(Error::invalid("after_refs", "at least one photo or document of how it is now"));
        }
        if !self.solved && !self.after.is_empty() {
            return Err(Error::invalid("after_refs", "only of what was put right on the spot"));
        }
        if self.before.len() + self.after.len() > 32 {
            return Err(Error::invalid("before_refs", "at most 32 references before and after"));
        }
        Ok(item)
    }

    /// Where it is: within the grid's community, or what that was merged into.
    fn place(&self, world: &World, patrol: &Patrol) -> Result<Uuid> {
        let community = world.open_unit(patrol.unit_id);
        let Some(place) = self.place.map(|place| world.open_unit(place)) else { return Ok(community) };
        if world.topology.is_within(place, community) {
            Ok(place)
        } else {
            Err(Error::invalid("place_unit_id", "lies outside the grid's community"))
        }
    }

    /// When it was found: within the patrol, not ahead.
    fn found_at(&self, patrol: &Patrol, now: Timestamp) -> Result<Timestamp> {
        let at = self.found_at.unwrap_or(now);
        if at > now || at < patrol.started_at {
            return Err(Error::invalid("found_time", "must lie within the patrol, and not ahead"));
        }
        Ok(at)
    }
}

/// The component stands in the grid and is of a class that the item is about.
async fn component_fits(tx: &mut Tx<'_>, report: &Report, patrol: &Patrol, at: Timestamp) -> Result<()> {
    let Some(code) = &report.component_code else { return Ok(()) };
    let known = component_at(tx, code, at).await?.filter(|known| known.grid_code == patrol.grid_code);
    let known = known.ok_or_else(|| Error::invalid("component_code", "no such component in this grid"))?;
    if known.state == "removed" {
        return Err(Error::invalid("component_code", "the component was removed"));
    }
    let class = registers::subclass(&known.class_code, &known.subclass_code);
    if !class.is_some_and(|class| class.items.contains(&report.item_code)) {
        return Err(Error::invalid("item_code", "is not about such a component"));
    }
    Ok(())
}

/// Reports a finding.
pub(super) async fn report(
    desk: &Desk,
    caller: &Caller,
    percent: u8,
    request: pb::ReportFindingRequest,
) -> Result<pb::ReportFindingResponse> {
    let meta = Meta::of("ReportFinding", &request, |request| &request.request_id)?;
    let report = Report::try_from(&request)?;
    let world = desk.atlas.world();
    let item = report.checked(&world, desk.clock.now())?;
    let key = report
        .client_ref
        .as_deref()
        .map(|text| client_key(&desk.crypto, caller.person_id, &format!("finding {text}")));
    let patrol = {
        let mut conn = desk.db.conn().await?;
        if let Some(key) = &key
            && let Some(known) = store::finding_by_client_key(&mut conn, key).await?
        {
            let told = store::told(&mut conn, known.case_id).await?;
            return again(desk, caller, meta, answer(&known, told)).await;
        }
        let found = store::get(&mut conn, report.patrol_id).await?;
        mine(found, report.patrol_id, caller)?
    };
    let place = report.place(&world, &patrol)?;
    let matter = Matter {
        item_code: report.item_code.clone(),
        place,
        grid: Some(patrol.grid_code),
        point: report.point.and_then(|(longitude, latitude)| Point::of_degrees(longitude, latitude)),
        text: report.text.clone(),
        channel: Channel::Patrol,
        origin: Origin::Patrol,
        urgency: report.urgency,
    };
    let mut founding = desk.founding(&world, caller, matter).await?;
    if report.solved {
        let mut both = evidence(&report.before)?;
        both.extend(evidence(&report.after)?);
        let urgency = report.urgency.max(item.urgency);
        let sampled = is_drawn(new_id(), percent, item.public_safety, urgency);
        founding.solved = Some(OnTheSpot { evidence: both, sampled });
    }
    founding.client_key.clone_from(&key);
    once(&desk.db, caller, meta, async |tx: &mut Tx<'_>| {
        found(tx, desk, caller, Found { report, place, founding, key }).await
    })
    .await
}

/// A repeat of what was made offline is the first.
pub(super) async fn again<R>(desk: &Desk, caller: &Caller, meta: Meta, answer: R) -> Result<R>
where
    R: prost::Message + Default + 'static,
{
    once(&desk.db, caller, meta, async move |_: &mut Tx<'_>| Ok(answer)).await
}

struct Found {
    report: Report,
    place: Uuid,
    founding: Founding,
    key: Option<Vec<u8>>,
}

async fn found(
    tx: &mut Tx<'_>,
    desk: &Desk,
    caller: &Caller,
    Found { report, place, founding, key }: Found,
) -> Result<pb::ReportFindingResponse> {
    let patrol = mine(store::lock(tx.conn, report.patrol_id).await?, report.patrol_id, caller)?;
    if !patrol.walking {
        return Err(Error::wrong_state("patrol", report.patrol_id.to_string(), "it has ended"));
    }
    let found_at = report.found_at(&patrol, tx.now)?;
    component_fits(tx, &report, &patrol, found_at).await?;
    let open = match &report.component_code {
        Some(component) => store::open_case(tx.conn, component, &report.item_code).await?,
        None => None,
    };
    let case_id = open.as_ref().map_or(founding.case_id.0, |open| open.case_id);
    let outcome = match (&open, report.solved) {
        (Some(_), _) => FindingOutcome::Duplicate,
        (None, true) => FindingOutcome::Solved,
        (None, false) => FindingOutcome::Case,
    };
    let told = match open {
        Some(open) => {
            heard(tx, desk, caller, CaseId(open.case_id), &report).await?;
            open
        }
        None => {
            let commands: Commands<CaseStore> = vec![(founding.case_id, Box::new(founding))];
            let made = Executor::apply(&desk.executor, tx, caller, commands).await?;
            let case = made.first().map(|record| &record.case);
            let case = case.ok_or_else(|| Error::internal("a case was founded and is not there"))?;
            if let Some(component) = &report.component_code {
                store::note_case(tx.conn, component, &report.item_code, case_id).await?;
            }
            Told { case_id, case_no: case.case_no.clone(), state: case.state.to_string() }
        }
    };
    let finding = Finding {
        finding_id: new_id(),
        patrol_id: patrol.patrol_id,
        item_code: report.item_code,
        component_code: report.component_code,
        outcome: outcome.to_string(),
        case_id,
        place_unit_id: place,
        longitude: report.point.map(|(longitude, _)| longitude),
        latitude: report.point.map(|(_, latitude)| latitude),
        before_refs: report.before,
        after_refs: report.after,
        found_at,
    };
    store::insert_finding(tx.conn, &finding, key.as_deref()).await?;
    store::update(tx.conn, &counted(patrol, outcome, found_at)).await?;
    Ok(answer(&finding, Some(told)))
}

/// Remarks of an open case from which on what is found again, not urgent and not about what is done, is linked alone, so that its
/// requester keeps room.
const HEARD: u32 = 50;

/// The people of an open case hear that its matter was put right, or found again, with the finder's words and evidence.
async fn heard(tx: &mut Tx<'_>, desk: &Desk, caller: &Caller, id: CaseId, report: &Report) -> Result<()> {
    if !report.solved && report.urgency == Urgency::Normal {
        let known = desk.executor.store().load(&*tx.conn, &[id]).await?;
        let done = |case: &Case| matches!(case.state, CaseState::Completed | CaseState::Verifying);
        let much = |case: &Case| case.remark_count >= HEARD && !done(case);
        if known.get(&id).is_some_and(|record| much(&record.case)) {
            return Ok(());
        }
    }
    let (before, after) = (evidence(&report.before)?, evidence(&report.after)?);
    let (solved, urgency) = (report.solved, report.urgency);
    let run = move |case: Case, act: Act<'_>, _: &Caller| {
        if solved {
            case.put_right_on_patrol(before.clone(), after.clone(), &act)
        } else {
            case.found_again_on_patrol(before.clone(), urgency, &act)
        }
    };
    let words = Words::of(&desk.crypto, RemarkKind::Remark, &report.text);
    let command = Saying { command: Verb::new(desk.atlas.world(), id, None, run), words };
    let commands: Commands<CaseStore> = vec![(id, Box::new(command))];
    Executor::apply(&desk.executor, tx, caller, commands).await?;
    Ok(())
}

fn counted(patrol: Patrol, outcome: FindingOutcome, found_at: Timestamp) -> Patrol {
    Patrol {
        last_found_at: patrol.last_found_at.max(Some(found_at)),
        finding_count: patrol.finding_count + 1,
        solved_count: patrol.solved_count + i32::from(outcome == FindingOutcome::Solved),
        duplicate_count: patrol.duplicate_count + i32::from(outcome == FindingOutcome::Duplicate),
        ..patrol
    }
}

fn answer(finding: &Finding, told: Option<Told>) -> pb::ReportFindingResponse {
    let (case_no, state) = told.map(|told| (told.case_no, told.state)).unwrap_or_default();
    let state = state.parse().map_or(0, |state| codes::case_state(state).into());
    pb::ReportFindingResponse { finding: Some(finding_shown(finding)), case_no, case_state: state }
}
