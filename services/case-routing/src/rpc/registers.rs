//! Lists of grids and components: imported whole, or not at all and with what is wrong.

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    command::{Meta, once},
    db::Tx,
    page,
    proto::case_routing::v1 as pb,
    topology::{Topology, UnitKind},
};
use chrono::NaiveDate;
use std::collections::HashMap;
use uuid::Uuid;

use super::{desk::Desk, parse};
use crate::{
    atlas::World,
    domain::patrol::{ComponentState, Step, is_component_code, is_grid_code, step},
    reach,
    registers::{self, ComponentRow, GridRow, Problem},
    store::registers::{self as store, Component, Grid, Wanted},
};

/// Problems told of a list.
const MOST_PROBLEMS: usize = 200;

/// Whether one of the caller's grants by place holds there, on whatever line.
pub(super) fn within(caller: &Caller, path: &[Uuid]) -> bool {
    reach::place_scopes(caller).any(|scope| path.contains(&scope.unit_id))
}

/// Communities that the caller's grants reach and, where asked for, that lie within a unit. A merged one counts where it went on:
/// its grids are in force until a list says otherwise.
///
/// # Errors
/// `NotFound` when the unit is out of reach.
pub(super) fn communities(caller: &Caller, world: &World, unit: Option<Uuid>) -> Result<Vec<Uuid>> {
    if let Some(unit) = unit {
        let path = world.open_path(unit).filter(|path| within(caller, path));
        path.ok_or_else(|| Error::not_found("unit", unit))?;
    }
    let unit = unit.map(|unit| world.open_unit(unit));
    Ok(communities_where(world, |path| within(caller, path) && unit.is_none_or(|unit| path.contains(&unit))))
}

/// Communities that lie within a unit, or in what that became, whoever reaches them.
pub(super) fn communities_within(world: &World, unit: Uuid) -> Vec<Uuid> {
    let unit = world.open_unit(unit);
    communities_where(world, |path| path.contains(&unit))
}

/// Communities of whose path, of a merged one where it went on, something holds.
fn communities_where(world: &World, holds: impl Fn(&[Uuid]) -> bool) -> Vec<Uuid> {
    let mut found: Vec<Uuid> = world
        .topology
        .units()
        .filter(|community| community.kind == UnitKind::Community)
        .filter(|community| world.open_path(community.id).is_some_and(|path| holds(&path)))
        .map(|community| community.id)
        .collect();
    found.sort_unstable();
    found
}

/// A day of a request; `None` when it is left out.
pub(super) fn day(field: &'static str, text: &str) -> Result<Option<NaiveDate>> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
    let day = day.filter(|day| (1990..2100).contains(&chrono::Datelike::year(day)));
    day.map(Some).ok_or_else(|| Error::invalid(field, "must be a day YYYY-MM-DD between 1990 and 2099"))
}

/// The code of a grid that narrows a list; empty: not narrowed.
pub(super) fn grid_filter(text: &str) -> Result<Option<&str>> {
    match text {
        "" => Ok(None),
        code if is_grid_code(code) => Ok(Some(code)),
        _ => Err(Error::invalid("grid_code", "must have 15 digits")),
    }
}

/// What a list comes to.
#[derive(Default)]
struct Tally {
    rows: usize,
    added: usize,
    changed: usize,
    unchanged: usize,
    problems: Vec<Problem>,
}

impl Tally {
    fn of(rows: usize, problems: Vec<Problem>) -> Self {
        Self { rows, problems, ..Self::default() }
    }

    fn wrong(&mut self, row: usize, column: &'static str, message: impl Into<String>) {
        self.problems.push(Problem { row, column, message: message.into() });
    }

    /// Counts what a row does; `true` when something is to be written.
    fn count(&mut self, row: usize, done: Result<Step, &'static str>) -> bool {
        match done {
            Ok(Step::Add) => self.added += 1,
            Ok(Step::Follow | Step::Correct) => self.changed += 1,
            Ok(Step::Keep) => self.unchanged += 1,
            Err(why) => self.wrong(row, "valid_from", why),
        }
        matches!(done, Ok(Step::Add | Step::Follow | Step::Correct))
    }

    fn told(mut self) -> (Self, Vec<pb::RegisterProblem>) {
        self.problems.sort_by_key(|problem| problem.row);
        let told = self.problems.iter().take(MOST_PROBLEMS).map(|problem| pb::RegisterProblem {
            row: number(problem.row),
            column: problem.column.to_owned(),
            message: problem.message.clone(),
        });
        let told = told.collect();
        (self, told)
    }
}

fn number(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

pub(super) async fn import_grids(
    desk: &Desk,
    caller: &Caller,
    request: pb::ImportGridsRequest,
) -> Result<pb::ImportGridsResponse> {
    let meta = Meta::of("ImportGrids", &request, |request| &request.request_id)?;
    let (rows, listed, problems) = registers::grids(&request.csv)?;
    let topology = desk.atlas.world().topology.clone();
    let by = caller.clone();
    once(&desk.db, caller, meta, async move |tx: &mut Tx<'_>| {
        store::lock(tx.conn).await?;
        let codes: Vec<&str> = listed.iter().map(|row| row.grid_code.as_str()).collect();
        let latest = store::latest_grids(tx.conn, &codes).await?;
        let mut tally = Tally::of(rows, problems);
        let mut write = Vec::new();
        for row in &listed {
            let Some(grid) = grid(row, &topology, &by, &mut tally) else { continue };
            let known = latest.get(&row.grid_code);
            let same = known.map(|known| {
                let content = Grid { valid_from: grid.valid_from, ..known.clone() };
                (known.valid_from, content == grid)
            });
            if tally.count(row.row, step(same, row.valid_from)) {
                write.push(grid);
            }
        }
        let (tally, problems) = tally.told();
        let applied = problems.is_empty() && !request.dry_run;
        if applied && !write.is_empty() {
            store::save_grids(tx.conn, &write).await?;
        }
        Ok(pb::ImportGridsResponse {
            rows: number(tally.rows),
            added: number(tally.added),
            changed: number(tally.changed),
            unchanged: number(tally.unchanged),
            problems,
            applied,
        })
    })
    .await
}

fn grid(row: &GridRow, topology: &Topology, caller: &Caller, tally: &mut Tally) -> Option<Grid> {
    let unit = topology.unit_by_code(&row.community_code);
    // A grid belongs to exactly one community, never to a street directly.
    let community = unit.filter(|unit| unit.kind == UnitKind::Community && within(caller, &unit.path));
    let Some(community) = community else {
        tally.wrong(row.row, "community_code", "no such community within your reach");
        return None;
    };
    Some(Grid {
        grid_code: row.grid_code.clone(),
        unit_id: community.id,
        name: row.name.clone(),
        valid_from: row.valid_from,
        valid_to: row.valid_to,
    })
}

pub(super) async fn import_components(
    desk: &Desk,
    caller: &Caller,
    request: pb::ImportComponentsRequest,
) -> Result<pb::ImportComponentsResponse> {
    let meta = Meta::of("ImportComponents", &request, |request| &request.request_id)?;
    let (rows, listed, problems) = registers::components(&request.csv)?;
    let world = desk.atlas.world();
    let by = caller.clone();
    once(&desk.db, caller, meta, async move |tx: &mut Tx<'_>| {
        store::lock(tx.conn).await?;
        let mut grids: Vec<&str> = listed.iter().map(|row| row.grid_code.as_str()).collect();
        grids.sort_unstable();
        grids.dedup();
        let grids = store::latest_grids(tx.conn, &grids).await?;
        let codes: Vec<&str> = listed.iter().map(|row| row.component_code.as_str()).collect();
        let latest = store::latest_components(tx.conn, &codes).await?;
        let mut tally = Tally::of(rows, problems);
        let mut write = Vec::new();
        for row in &listed {
            let Some(component) = component(row, &grids, &world, &by, &mut tally) else { continue };
            let same = latest.get(&row.component_code).map(|known| {
                let content = Component {
                    valid_from: component.valid_from,
                    valid_to: component.valid_to,
                    ..known.clone()
                };
                (known.valid_from, content == component)
            });
            if tally.count(row.row, step(same, row.valid_from)) {
                write.push(component);
            }
        }
        let (tally, problems) = tally.told();
        let applied = problems.is_empty() && !request.dry_run;
        if applied && !write.is_empty() {
            store::save_components(tx.conn, &write).await?;
        }
        Ok(pb::ImportComponentsResponse {
            rows: number(tally.rows),
            added: number(tally.added),
            changed: number(tally.changed),
            unchanged: number(tally.unchanged),
            problems,
            applied,
        })
    })
    .await
}

fn component(
    row: &ComponentRow,
    grids: &HashMap<String, Grid>,
    world: &World,
    caller: &Caller,
    tally: &mut Tally,
) -> Option<Component> {
    let reached = |grid: &&Grid| world.open_path(grid.unit_id).is_some_and(|path| within(caller, &path));
    let grid = grids.get(&row.grid_code).filter(reached);
    if grid.is_none() {
        tally.wrong(row.row, "grid_code", "no such grid within your reach");
    }
    let owner = world.topology.org_by_code(&row.owner_org);
    if owner.is_none() {
        tally.wrong(row.row, "owner_org", "no such organisation");
    }
    Some(Component {
        component_code: row.component_code.clone(),
        class_code: row.class_code.clone(),
        subclass_code: row.subclass_code.clone(),
        name: row.name.clone(),
        grid_code: row.grid_code.clone(),
        unit_id: grid?.unit_id,
        longitude: row.point.map(|(longitude, _)| longitude),
        latitude: row.point.map(|(_, latitude)| latitude),
        owner_org_id: owner?.id,
        state: row.state.to_string(),
        valid_from: row.valid_from,
        valid_to: None,
    })
}

pub(super) async fn list_grids(
    desk: &Desk,
    caller: &Caller,
    request: pb::ListGridsRequest,
) -> Result<pb::ListGridsResponse> {
    let size = page::size(request.page_size, 50, 500)?;
    let after: String = page::decode(&request.page_token)?.unwrap_or_default();
    let unit = parse::optional_id("unit_id", &request.unit_id)?;
    let units = communities(caller, &desk.atlas.world(), unit)?;
    let today = calendar::local_day(desk.clock.now());
    let mut conn = desk.db.conn().await?;
    let mut rows = store::list_grids(&mut conn, &units, today, &after, size + 1).await?;
    let next_page_token = page::cut(&mut rows, size, |grid| grid.grid_code.clone());
    let grids = rows.into_iter().map(|grid| pb::Grid {
        grid_code: grid.grid_code,
        unit_id: grid.unit_id.to_string(),
        name: grid.name,
        valid_from: grid.valid_from.to_string(),
        valid_to: grid.valid_to.map(|day| day.to_string()).unwrap_or_default(),
    });
    Ok(pb::ListGridsResponse { grids: grids.collect(), next_page_token })
}

pub(super) async fn list_components(
    desk: &Desk,
    caller: &Caller,
    request: pb::ListComponentsRequest,
) -> Result<pb::ListComponentsResponse> {
    let size = page::size(request.page_size, 50, 500)?;
    let after: String = page::decode(&request.page_token)?.unwrap_or_default();
    let code =
        |field, text: &str| if text.is_empty() { Ok(None) } else { parse::code(field, text).map(Some) };
    let class = code("class_code", &request.class_code)?;
    let subclass = code("subclass_code", &request.subclass_code)?;
    let grid = grid_filter(&request.grid_code)?;
    let day = day("day", &request.day)?.unwrap_or_else(|| calendar::local_day(desk.clock.now()));
    let unit = parse::optional_id("unit_id", &request.unit_id)?;
    let units = communities(caller, &desk.atlas.world(), unit)?;
    let wanted = Wanted {
        units: &units,
        grid,
        class: class.as_deref(),
        subclass: subclass.as_deref(),
        day,
        after: &after,
        limit: size + 1,
    };
    let mut rows = store::list_components(&mut *desk.db.conn().await?, &wanted).await?;
    let next_page_token = page::cut(&mut rows, size, |component| component.component_code.clone());
    Ok(pb::ListComponentsResponse { components: rows.into_iter().map(shown).collect(), next_page_token })
}

fn shown(component: Component) -> pb::Component {
    let state = match component.state.parse() {
        Ok(ComponentState::InUse) => pb::ComponentState::InUse,
        Ok(ComponentState::Damaged) => pb::ComponentState::Damaged,
        Ok(ComponentState::Missing) => pb::ComponentState::Missing,
        Ok(ComponentState::Removed) => pb::ComponentState::Removed,
        Err(_) => pb::ComponentState::Unspecified,
    };
    pb::Component {
        component_code: component.component_code,
        class_code: component.class_code,
        subclass_code: component.subclass_code,
        name: component.name,
        grid_code: component.grid_code,
        unit_id: component.unit_id.to_string(),
        longitude: component.longitude,
        latitude: component.latitude,
        owner_org_id: component.owner_org_id.to_string(),
        state: state.into(),
        valid_from: component.valid_from.to_string(),
        valid_to: component.valid_to.map(|day| day.to_string()).unwrap_or_default(),
    }
}

/// The shipped classes.
pub(super) fn classes() -> pb::GetComponentClassesResponse {
    let told = registers::classes().iter().flat_map(|class| {
        class.subclasses.iter().map(|subclass| pb::ComponentClass {
            class_code: class.code.clone(),
            class_name_zh: class.name_zh.clone(),
            class_name_en: class.name_en.clone(),
            subclass_code: subclass.code.clone(),
            name_zh: subclass.name_zh.clone(),
            name_en: subclass.name_en.clone(),
            item_codes: subclass.items.clone(),
        })
    });
    pb::GetComponentClassesResponse { classes: told.collect() }
}

/// A component as it is at an instant, if its code can be one.
pub(super) async fn component_at(tx: &mut Tx<'_>, code: &str, at: Timestamp) -> Result<Option<Component>> {
    if !is_component_code(code) {
        return Ok(None);
    }
    store::component_on(tx.conn, code, calendar::local_day(at)).await
}
