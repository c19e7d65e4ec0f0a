//! `HotspotService`: hot spots are listed, answered by a topic case, or dismissed.

use std::sync::Arc;

use chassis::{
    Error, Result, RpcResult, Timestamp,
    auth::Caller,
    clock::to_proto,
    command::{Commands, Executor, Meta, once},
    db::Tx,
    event::Emit,
    page,
    proto::case_routing::v1::{self as pb, hotspot_service_server::HotspotService},
    topology::UnitKind,
};
use chrono::{Days, NaiveDate, NaiveTime};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{
    desk::{Desk, told},
    founding::Matter,
    parse,
};
use crate::{
    atlas::World,
    domain::{Act, Case, CaseId, Channel, Nature, Origin, Urgency},
    reach,
    seed::Item,
    store::{
        case_store::CaseStore,
        hotspots::{self, Answer, Hotspot, Spot, Wanted},
    },
    verb::Verb,
};

/// Cases that one topic case is linked to, at most.
const MOST_LINKED: i64 = 500;

/// The RPCs.
#[derive(Clone)]
pub struct Hotspots(pub Desk);

fn missing(id: Uuid) -> Error {
    Error::not_found("hotspot", id)
}

/// Where a hot spot is now: its unit may have been put under another one, or merged, since it was noted.
fn path_now(world: &World, spot: &Spot) -> Arc<[Uuid]> {
    world.open_path(spot.unit_id).unwrap_or_else(|| spot.place_path.as_slice().into())
}

fn reaches(world: &World, spot: &Spot, caller: &Caller) -> bool {
    let line = Some(spot.line.as_str()).filter(|line| !line.is_empty());
    reach::covers(caller, &path_now(world, spot), line)
}

/// The hot spot, if the caller reaches it.
fn reached(found: Option<Hotspot>, id: Uuid, world: &World, caller: &Caller) -> Result<Hotspot> {
    found.filter(|hotspot| reaches(world, &hotspot.spot, caller)).ok_or_else(|| missing(id))
}

/// The hot spot, if the caller reaches it and nobody has answered it yet.
fn unanswered(found: Option<Hotspot>, id: Uuid, world: &World, caller: &Caller) -> Result<Hotspot> {
    let hotspot = reached(found, id, world, caller)?;
    if hotspot.answer != "open" {
        return Err(Error::wrong_state("hotspot", id.to_string(), "it is answered already"));
    }
    Ok(hotspot)
}

/// A topic is nothing that somebody has to apply for, an emergency service handles, or a court decides.
fn fits_topic(item: Option<&Item>) -> bool {
    item.is_some_and(|item| {
        item.nature != Nature::Application
            && item.emergency_channel.is_empty()
            && item.statutory_channel.is_empty()
    })
}

/// The refusal where its item does not fit.
fn fit_for_topic(hotspot: &Hotspot, item: Option<&Item>) -> Result<()> {
    if fits_topic(item) {
        Ok(())
    } else {
        let why = "its item has a channel of its own: no topic case is opened for it";
        Err(Error::barred("hotspot", hotspot.hotspot_id, "own_channel", why))
    }
}

/// A unit as places are written down: what it goes on in, for cases that are open, and all that became part of that, for those that
/// had ended by then.
fn places(world: &World, unit: Uuid) -> Vec<Uuid> {
    let open = world.open_unit(unit);
    let units = world.topology.units().map(|known| known.id);
    units.filter(|known| world.open_unit(*known) == open).collect()
}

/// The streets at or below a unit, or the one above it; with those that became part of them.
fn streets(world: &World, unit: Uuid) -> Vec<Uuid> {
    let (topology, unit) = (&world.topology, world.open_unit(unit));
    let above = topology.ancestor(unit, UnitKind::Street).map(|street| street.id);
    let lies_there = |street: &Uuid| match above {
        Some(above) => world.open_unit(*street) == above,
        None => world.open_path(*street).is_some_and(|path| path.contains(&unit)),
    };
    let streets = topology.units().filter(|unit| unit.kind == UnitKind::Street).map(|street| street.id);
    let mut streets: Vec<Uuid> = streets.filter(lies_there).collect();
    streets.sort_unstable();
    streets
}

/// From the first instant of the first day to the last of the last.
fn instants(first: NaiveDate, last: NaiveDate) -> (Timestamp, Timestamp) {
    let next = last.checked_add_days(Days::new(1)).unwrap_or(last);
    (calendar::instant(first, NaiveTime::MIN), calendar::instant(next, NaiveTime::MIN))
}

impl Hotspots {
    async fn open(
        &self,
        caller: &Caller,
        request: pb::OpenTopicCaseRequest,
    ) -> Result<pb::OpenTopicCaseResponse> {
        let meta = Meta::of("OpenTopicCase", &request, |request| &request.request_id)?;
        let id: Uuid = parse::id("hotspot_id", &request.hotspot_id)?;
        let text = parse::words("text", &request.text, 1, 4_000)?;
        let world = self.0.atlas.world();
        // What the topic is of does not change; whether it is open is asked again under the lock.
        let found = hotspots::get(&mut *self.0.db.conn().await?, id).await?;
        let hotspot = reached(found, id, &world, caller)?;
        fit_for_topic(&hotspot, world.item(&hotspot.item_code, self.0.clock.now()))?;
        let matter = Matter {
            item_code: hotspot.item_code.clone(),
            place: hotspot.spot.unit_id,
            grid: None,
            point: None,
            text,
            channel: Channel::Worker,
            origin: Origin::TopDown,
            urgency: Urgency::Normal,
        };
        let founding = self.0.founding(&world, caller, matter).await?;
        let topic = founding.case_id;
        let org = caller.org_id.or_else(|| reach::part_orgs(caller).first().copied());
        once(&self.0.db, caller, meta, async |tx: &mut Tx<'_>| {
            let hotspot = unanswered(hotspots::lock(tx.conn, id).await?, id, &world, caller)?;
            let days = instants(hotspot.start_date, hotspot.end_date);
            let unit = hotspot.spot.unit_id;
            let (streets, places) = (streets(&world, unit), places(&world, unit));
            let within = (streets.as_slice(), places.as_slice());
            let members = hotspots::members(tx.conn, &hotspot, within, days, MOST_LINKED).await?;
            let mut commands: Commands<CaseStore> = vec![(topic, Box::new(founding))];
            commands.extend(members.iter().map(|member| {
                let run = move |case: Case, act: Act<'_>, _: &Caller| case.link_to_topic(topic, &act);
                let verb = Verb::new(Arc::clone(&world), CaseId(*member), None, run);
                (CaseId(*member), Box::new(verb) as Box<dyn chassis::command::Decide<_>>)
            }));
            let made = Executor::apply(&self.0.executor, tx, caller, commands).await?;
            // One that has a topic already keeps it.
            let linked = made.iter().filter(|record| record.case.parent_case == Some(topic)).count();
            let linked_count = i32::try_from(linked).unwrap_or(i32::MAX);
            let answer = Answer {
                topic_case_id: Some(topic.0),
                reason_code: None,
                linked_count,
                by: &caller.actor_ref,
                org,
            };
            let hotspot = hotspots::answer(tx.conn, id, &answer, tx.now).await?;
            tell(tx, &hotspot);
            let case = made.first().map(|record| told(record, &world));
            Ok(pb::OpenTopicCaseResponse { hotspot: Some(shown(&hotspot, &world, tx.now)), case })
        })
        .await
    }

    async fn dismiss(
        &self,
        caller: &Caller,
        request: pb::DismissHotspotRequest,
    ) -> Result<pb::DismissHotspotResponse> {
        let meta = Meta::of("DismissHotspot", &request, |request| &request.request_id)?;
        let id: Uuid = parse::id("hotspot_id", &request.hotspot_id)?;
        let reason = parse::code("reason_code", &request.reason_code)?;
        let world = self.0.atlas.world();
        let org = caller.org_id.or_else(|| reach::part_orgs(caller).first().copied());
        once(&self.0.db, caller, meta, async |tx: &mut Tx<'_>| {
            unanswered(hotspots::lock(tx.conn, id).await?, id, &world, caller)?;
            let answer = Answer {
                topic_case_id: None,
                reason_code: Some(&reason),
                linked_count: 0,
                by: &caller.actor_ref,
                org,
            };
            let hotspot = hotspots::answer(tx.conn, id, &answer, tx.now).await?;
            tell(tx, &hotspot);
            Ok(pb::DismissHotspotResponse { hotspot: Some(shown(&hotspot, &world, tx.now)) })
        })
        .await
    }

    async fn list(
        &self,
        caller: &Caller,
        request: pb::ListHotspotsRequest,
    ) -> Result<pb::ListHotspotsResponse> {
        let size = page::size(request.page_size, 50, 200)?;
        let below: Uuid = page::decode(&request.page_token)?.unwrap_or(Uuid::max());
        let within = parse::optional_id("unit_id", &request.unit_id)?;
        let answer = match pb::HotspotAnswer::try_from(request.answer) {
            Ok(pb::HotspotAnswer::Unspecified) => None,
            Ok(pb::HotspotAnswer::Open) => Some("open"),
            Ok(pb::HotspotAnswer::Topic) => Some("topic"),
            Ok(pb::HotspotAnswer::Dismissed) => Some("dismissed"),
            Err(_) => return Err(Error::invalid("answer", "is not a known value")),
        };
        let world = self.0.atlas.world();
        let within = within.map(|unit| world.open_unit(unit));
        let wanted = |spot: &Spot| {
            let asked = within.is_none_or(|unit| path_now(&world, spot).contains(&unit));
            asked && reaches(&world, spot, caller)
        };
        let mut conn = self.0.db.conn().await?;
        let spots = hotspots::spots(&mut conn).await?.into_iter().filter(wanted);
        let (units, lines): (Vec<Uuid>, Vec<String>) = spots.map(|spot| (spot.unit_id, spot.line)).unzip();
        let wanted = Wanted { units: &units, lines: &lines, answer, below, limit: size + 1 };
        let mut rows = hotspots::list(&mut conn, &wanted).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.hotspot_id);
        let now = self.0.clock.now();
        let hotspots = rows.iter().map(|row| shown(row, &world, now)).collect();
        Ok(pb::ListHotspotsResponse { hotspots, next_page_token })
    }
}

/// Tells analytics what became of it.
fn tell(tx: &mut Tx<'_>, hotspot: &Hotspot) {
    let Spot { unit_id: unit, line, .. } = &hotspot.spot;
    let told = pb::HotspotAnswered {
        hotspot_id: hotspot.hotspot_id.to_string(),
        unit_id: unit.to_string(),
        item_code: hotspot.item_code.clone(),
        topic_case_id: hotspot.topic_case_id.map(|id| id.to_string()).unwrap_or_default(),
        reason_code: hotspot.reason_code.clone().unwrap_or_default(),
        linked_count: hotspot.linked_count,
    };
    let line = Some(line.as_str()).filter(|line| !line.is_empty());
    // A hot spot is answered once: that is its first and only version here.
    tx.emit(Emit::new(*unit, 1, &told).unit(*unit).line(line).subject(hotspot.hotspot_id));
}

fn shown(hotspot: &Hotspot, world: &World, now: Timestamp) -> pb::Hotspot {
    let (name_zh, name_en) = world.item_names(&hotspot.item_code);
    let answer = match hotspot.answer.as_str() {
        "topic" => pb::HotspotAnswer::Topic,
        "dismissed" => pb::HotspotAnswer::Dismissed,
        _ => pb::HotspotAnswer::Open,
    };
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    pb::Hotspot {
        hotspot_id: hotspot.hotspot_id.to_string(),
        unit_id: hotspot.spot.unit_id.to_string(),
        item_code: hotspot.item_code.clone(),
        item_name_zh: name_zh.to_owned(),
        item_name_en: name_en.to_owned(),
        start_date: hotspot.start_date.to_string(),
        end_date: hotspot.end_date.to_string(),
        count: hotspot.count,
        expected: hotspot.expected,
        p_value: hotspot.p_value,
        ended: hotspot.ended,
        answer: answer.into(),
        topic_case_id: text(hotspot.topic_case_id),
        reason_code: hotspot.reason_code.clone().unwrap_or_default(),
        linked_count: hotspot.linked_count,
        answered_org_id: text(hotspot.answered_org_id),
        answered_time: hotspot.answered_at.map(to_proto),
        noted_time: Some(to_proto(hotspot.noted_at)),
        topic_possible: fits_topic(world.item(&hotspot.item_code, now)),
    }
}

#[tonic::async_trait]
impl HotspotService for Hotspots {
    async fn list_hotspots(
        &self,
        request: Request<pb::ListHotspotsRequest>,
    ) -> RpcResult<pb::ListHotspotsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.list(&caller, request.into_inner()).await?))
    }

    async fn get_hotspot(
        &self,
        request: Request<pb::GetHotspotRequest>,
    ) -> RpcResult<pb::GetHotspotResponse> {
        let caller = Caller::of(&request)?;
        let id: Uuid = parse::id("hotspot_id", &request.into_inner().hotspot_id)?;
        let found = hotspots::get(&mut *self.0.db.conn().await?, id).await?;
        let world = self.0.atlas.world();
        let hotspot = reached(found, id, &world, &caller)?;
        let hotspot = shown(&hotspot, &world, self.0.clock.now());
        Ok(Response::new(pb::GetHotspotResponse { hotspot: Some(hotspot) }))
    }

    async fn open_topic_case(
        &self,
        request: Request<pb::OpenTopicCaseRequest>,
    ) -> RpcResult<pb::OpenTopicCaseResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.open(&caller, request.into_inner()).await?))
    }

    async fn dismiss_hotspot(
        &self,
        request: Request<pb::DismissHotspotRequest>,
    ) -> RpcResult<pb::DismissHotspotResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.dismiss(&caller, request.into_inner()).await?))
    }
}
