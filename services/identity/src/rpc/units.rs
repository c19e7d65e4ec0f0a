//! Units: listing, creating, renaming, merging.

use std::collections::HashSet;

use chassis::{
    Error, Result,
    auth::Caller,
    clock::new_id,
    command::{Meta, once},
    db::Tx,
    page,
    update::Mask,
};
use proto::identity::v1::{
    CreateUnitRequest, CreateUnitResponse, GetUnitRequest, GetUnitResponse, ListUnitsRequest,
    ListUnitsResponse, MergeUnitsRequest, MergeUnitsResponse, UpdateUnitRequest, UpdateUnitResponse,
};
use uuid::Uuid;

use super::{
    Identity, instant,
    topology::{PAGE_DEFAULT, PAGE_MAX},
    unit_within,
};
use crate::{
    domain::{
        UnitId, facts, text,
        unit::{KIND, NewUnit, Unit, UnitChange, UnitKind},
    },
    store::{organizations, people, units},
};

/// What may be changed of a unit, as an `update_mask` names it.
const CHANGED: [&str; 3] = ["name_zh", "name_en", "code"];
/// The most units one merger may take.
const MAX_MERGED: usize = 50;

impl Identity {
    pub(super) async fn units_list(&self, request: ListUnitsRequest) -> Result<ListUnitsResponse> {
        let size = page::size(request.page_size, PAGE_DEFAULT, PAGE_MAX)?;
        let after = page::decode::<(String, Uuid)>(&request.page_token)?;
        let kind = match UnitKind::try_from(request.kind) {
            Ok(UnitKind::Unspecified) => None,
            Ok(kind) => Some(kind),
            Err(_) => return Err(Error::invalid("kind", "is not a kind")),
        };
        let parent_id = UnitId::parse_opt("parent_id", &request.parent_id)?;
        let filter = units::Filter { parent_id, kind, include_ended: request.include_ended };
        let at = instant("at_time", request.at_time.as_ref())?.unwrap_or_else(|| self.clock.now());
        let mut conn = self.db.conn().await?;
        let mut rows = units::list(&mut conn, &filter, at, after, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |unit| (unit.code.clone(), unit.id.0));
        Ok(ListUnitsResponse { units: rows.iter().map(Into::into).collect(), next_page_token })
    }

    pub(super) async fn unit_get(&self, request: &GetUnitRequest) -> Result<GetUnitResponse> {
        let id = UnitId::parse("unit_id", &request.unit_id)?;
        let unit = units::get(&mut *self.db.conn().await?, id).await?;
        let unit = unit.ok_or_else(|| Error::not_found(KIND, id))?;
        Ok(GetUnitResponse { unit: Some((&unit).into()) })
    }

    pub(super) async fn unit_create(
        &self,
        caller: &Caller,
        request: CreateUnitRequest,
    ) -> Result<CreateUnitResponse> {
        let meta = Meta::new("CreateUnit", &request.request_id, &request)?;
        let from = request.unit.as_ref().ok_or_else(|| Error::invalid("unit", "is needed"))?;
        let new = NewUnit::new("unit", from)?;
        let parent_id = UnitId::parse("unit.parent_id", &from.parent_id)?;
        let id = UnitId(new_id());
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::lock(tx.conn).await?;
            unit_within(tx, caller, parent_id).await?;
            let parent = units::get(tx.conn, parent_id).await?;
            let unit = Unit::create(id, new, parent.as_ref(), tx.now)?;
            units::insert(tx.conn, &unit).await?;
            tx.emit(facts::unit_changed(&unit));
            Ok(CreateUnitResponse { unit: Some((&unit).into()) })
        })
        .await
    }

    pub(super) async fn unit_update(
        &self,
        caller: &Caller,
        request: UpdateUnitRequest,
    ) -> Result<UpdateUnitResponse> {
        let meta = Meta::new("UpdateUnit", &request.request_id, &request)?;
        let id = UnitId::parse("unit_id", &request.unit_id)?;
        if request.version < 1 {
            return Err(Error::invalid("version", "must be the version the change is based on"));
        }
        let mask = Mask::new(request.update_mask.as_ref(), &CHANGED)?;
        let set = |field: &str, text: &str| mask.sets(field, !text.is_empty());
        let change = UnitChange {
            code: set("code", &request.code).then(|| text::code("code", &request.code, 40)).transpose()?,
            name_zh: set("name_zh", &request.name_zh)
                .then(|| text::name("name_zh", &request.name_zh, 80))
                .transpose()?,
            name_en: set("name_en", &request.name_en)
                .then(|| text::optional_name("name_en", &request.name_en, 120))
                .transpose()?,
        };
        if change.code.is_none() && change.name_zh.is_none() && change.name_en.is_none() {
            return Err(Error::invalid("name_zh", "one of name_zh, name_en and code is needed"));
        }
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::lock(tx.conn).await?;
            unit_within(tx, caller, id).await?;
            let before = units::get(tx.conn, id).await?.ok_or_else(|| Error::not_found(KIND, id))?;
            let recoded = change.code.as_ref().is_some_and(|code| *code != before.code);
            let unit = before.change(request.version, change)?;
            units::update(tx.conn, &unit, tx.now).await?;
            let kind = if recoded { "recode" } else { "rename" };
            units::insert_lineage(tx.conn, id, id, kind, tx.now).await?;
            tx.emit(facts::unit_changed(&unit));
            Ok(UpdateUnitResponse { unit: Some((&unit).into()) })
        })
        .await
    }

    pub(super) async fn units_merge(
        &self,
        caller: &Caller,
        request: MergeUnitsRequest,
    ) -> Result<MergeUnitsResponse> {
        let meta = Meta::new("MergeUnits", &request.request_id, &request)?;
        let ids = merged_ids(&request.from_unit_ids)?;
        let successor = request.successor.as_ref().ok_or_else(|| Error::invalid("successor", "is needed"))?;
        let successor = NewUnit::new("successor", successor)?;
        let at = instant("effective_time", request.effective_time.as_ref())?;
        let id = UnitId(new_id());
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::lock(tx.conn).await?;
            for unit in &ids {
                unit_within(tx, caller, *unit).await?;
            }
            let from = units::get_many(tx.conn, &ids).await?;
            let children = units::children(tx.conn, &ids).await?;
            let merger = Unit::merge(from, children, id, successor, at.unwrap_or(tx.now), tx.now)?;
            let at = merger.successor.valid_from;
            for unit in &merger.merged {
                units::update(tx.conn, unit, at).await?; // first, so that the successor may take over a code
                tx.emit(facts::unit_changed(unit));
            }
            units::insert(tx.conn, &merger.successor).await?;
            tx.emit(facts::unit_changed(&merger.successor));
            for unit in &merger.rehomed {
                units::update(tx.conn, unit, at).await?;
                tx.emit(facts::unit_changed(unit));
            }
            for unit in &merger.merged {
                units::insert_lineage(tx.conn, unit.id, id, "merge", at).await?;
            }
            units::repath(tx.conn, id).await?;
            // What sat at the merged units goes on at the successor; ending or joining organisations is a decision of
            // its own.
            for org in organizations::at_units(tx.conn, &ids).await? {
                let org = org.rehome(id);
                organizations::update_unit(tx.conn, &org).await?;
                tx.emit(facts::organization_changed(&org));
            }
            // Grants before homes: whoever holds a grant may wait for its person, never the other way round.
            self.rehome_grants(tx, &ids, id).await?;
            people::rehome(tx.conn, &ids, id).await?;
            tx.emit(facts::unit_merged(&merger.successor, &merger.merged));
            Ok(MergeUnitsResponse { successor: Some((&merger.successor).into()) })
        })
        .await
    }
}

fn merged_ids(texts: &[String]) -> Result<Vec<UnitId>> {
    if !(2..=MAX_MERGED).contains(&texts.len()) {
        return Err(Error::invalid("from_unit_ids", "must name 2 to 50 units"));
    }
    let mut seen = HashSet::new();
    let mut ids = Vec::with_capacity(texts.len());
    for (n, text) in texts.iter().enumerate() {
        let id = UnitId::parse(&format!("from_unit_ids[{n}]"), text)?;
        if !seen.insert(id) {
            return Err(Error::invalid(format!("from_unit_ids[{n}]"), "is named twice"));
        }
        ids.push(id);
    }
    Ok(ids)
}
