//! `ExchangeService`: who the other systems are, and the versions of their mappings.

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Meta, once},
    db::Tx,
    page,
    proto::case_routing::v1 as pb,
    update::{self, Mask},
};
use uuid::Uuid;

use super::{exchange::Exchange, exchange_forms as forms, parse};
use crate::{
    domain::{
        Nature,
        exchange::{Known, Mapping, Problem},
    },
    exchange::courier::{open_secrets, seal_secrets},
    store::exchange::{
        mappings::{self, Version},
        systems::{self, System},
    },
    webhook::{Secret, secret_text},
};

/// Secrets that sign beside each other.
const SECRETS: usize = 2;

/// What an operator sets of a system, as an `update_mask` names it.
const SETTINGS: [&str; 7] =
    ["name_zh", "name_en", "direction", "state", "client_id", "endpoint", "line_codes"];

impl Exchange {
    /// Where a system's changes are posted; empty: it fetches them.
    fn endpoint(&self, text: &str) -> Result<String> {
        if !text.is_empty() {
            // They are passed over in a URL, and whoever confirms it would not see what they see.
            if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
                return Err(Error::invalid("endpoint", "must hold neither spaces nor control characters"));
            }
            self.networks.endpoint(text).map_err(|message| Error::invalid("endpoint", message))?;
        }
        Ok(text.to_owned())
    }

    pub(super) async fn create_system(
        &self,
        caller: &Caller,
        m: pb::CreateExternalSystemRequest,
    ) -> Result<pb::CreateExternalSystemResponse> {
        let meta = Meta::new("CreateExternalSystem", &m.request_id, &m)?;
        let code = parse::code("system_code", &m.system_code)?;
        let (endpoint, line_codes) = (self.endpoint(&m.endpoint)?, lines(&m.line_codes)?);
        let (name_zh, name_en) = (name("name_zh", &m.name_zh)?, name("name_en", &m.name_en)?);
        let direction = forms::direction("direction", m.direction)?;
        let client_id: Option<Uuid> = parse::optional_id("client_id", &m.client_id)?;
        once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            let system = System {
                system_code: code,
                name_zh,
                name_en,
                direction: direction.to_owned(),
                state: "on".to_owned(),
                client_id,
                endpoint,
                line_codes,
                sealed_secrets: None,
                version: 1,
                updated_at: tx.now,
                mapping_version: 0,
            };
            systems::put(tx.conn, &system, true).await?;
            Ok(pb::CreateExternalSystemResponse { system: Some(forms::system(&system)) })
        })
        .await
    }

    pub(super) async fn update_system(
        &self,
        caller: &Caller,
        m: pb::UpdateExternalSystemRequest,
    ) -> Result<pb::UpdateExternalSystemResponse> {
        let meta = Meta::new("UpdateExternalSystem", &m.request_id, &m)?;
        let code = parse::code("system_code", &m.system_code)?;
        let etag = update::etag(&m.etag)?;
        let mask = Mask::new(m.update_mask.as_ref(), &SETTINGS)?;
        let set = |field| mask.sets(field, true);
        let state = set("state").then(|| forms::system_state("state", m.state)).transpose()?;
        let endpoint = set("endpoint").then(|| self.endpoint(&m.endpoint)).transpose()?;
        let line_codes = set("line_codes").then(|| lines(&m.line_codes)).transpose()?;
        let name_zh = set("name_zh").then(|| name("name_zh", &m.name_zh)).transpose()?;
        let name_en = set("name_en").then(|| name("name_en", &m.name_en)).transpose()?;
        let direction = set("direction").then(|| forms::direction("direction", m.direction)).transpose()?;
        let client_id: Option<Option<Uuid>> =
            set("client_id").then(|| parse::optional_id("client_id", &m.client_id)).transpose()?;
        once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            let known = systems::lock(tx.conn, &code).await?;
            update::fresh(etag, known.version, systems::KIND, &code)?;
            if endpoint.as_ref().is_some_and(|endpoint| *endpoint != known.endpoint) {
                mappings::keep_endpoint(tx.conn, &code, &known.endpoint).await?;
            }
            let system = System {
                name_zh: name_zh.unwrap_or(known.name_zh),
                name_en: name_en.unwrap_or(known.name_en),
                direction: direction.map_or(known.direction, str::to_owned),
                state: state.map_or(known.state, str::to_owned),
                client_id: client_id.unwrap_or(known.client_id),
                endpoint: endpoint.unwrap_or(known.endpoint),
                line_codes: line_codes.unwrap_or(known.line_codes),
                version: known.version + 1,
                updated_at: tx.now,
                ..known
            };
            systems::put(tx.conn, &system, false).await?;
            Ok(pb::UpdateExternalSystemResponse { system: Some(forms::system(&system)) })
        })
        .await
    }

    pub(super) async fn rotate_secret(
        &self,
        caller: &Caller,
        m: pb::RotateWebhookSecretRequest,
    ) -> Result<pb::RotateWebhookSecretResponse> {
        let meta = Meta::new("RotateWebhookSecret", &m.request_id, &m)?;
        let code = parse::code("system_code", &m.system_code)?;
        let fresh: [u8; 32] = rand::random();
        let crypto = &self.desk.crypto;
        once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            let known = systems::lock(tx.conn, &code).await?;
            let mut secrets: Vec<Secret> = vec![fresh.to_vec()];
            if let Some(sealed) = &known.sealed_secrets {
                secrets.extend(open_secrets(crypto, &code, sealed)?);
                secrets.truncate(SECRETS);
            }
            systems::set_secrets(tx.conn, &code, &seal_secrets(crypto, &code, &secrets)?, tx.now).await?;
            let system = systems::lock(tx.conn, &code).await?;
            let secret = secret_text(&fresh);
            Ok(pb::RotateWebhookSecretResponse { system: Some(forms::system(&system)), secret })
        })
        .await
    }

    /// What is wrong with a mapping today.
    fn problems(&self, mapping: &Mapping) -> Vec<Problem> {
        let world = self.desk.atlas.world();
        let known = Known {
            item: &|code| world.items().newest(code).map(|item| item.nature == Nature::Application),
            unit: &|code| world.topology.unit_by_code(code).is_some(),
        };
        mapping.problems(&known)
    }

    pub(super) async fn draft(
        &self,
        caller: &Caller,
        m: pb::DraftMappingRequest,
    ) -> Result<pb::DraftMappingResponse> {
        let meta = Meta::new("DraftMapping", &m.request_id, &m)?;
        let code = parse::code("system_code", &m.system_code)?;
        let mapping = forms::mapping(&m)?;
        let problems = self.problems(&mapping);
        let by = caller.actor_ref.clone();
        once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            systems::lock(tx.conn, &code).await?;
            if !problems.is_empty() {
                let told = |problem: Problem| pb::MappingProblem {
                    field: problem.field,
                    code: problem.code.to_owned(),
                };
                let problems = problems.into_iter().map(told).collect();
                return Ok(pb::DraftMappingResponse { mapping: None, problems });
            }
            let made = mappings::draft(tx.conn, &code, &mapping, &by, tx.now).await?;
            let mapping = Some(forms::version(&made)?);
            Ok(pb::DraftMappingResponse { mapping, problems: Vec::new() })
        })
        .await
    }

    pub(super) async fn one_mapping(&self, m: pb::GetMappingRequest) -> Result<pb::Mapping> {
        let code = parse::code("system_code", &m.system_code)?;
        let version = version("mapping_version", m.mapping_version)?;
        let mut conn = self.desk.db.conn().await?;
        let found = mappings::get(&mut conn, &code, version).await?;
        forms::version(&found.ok_or_else(|| Error::not_found(mappings::KIND, version))?)
    }

    pub(super) async fn mappings(&self, m: pb::ListMappingsRequest) -> Result<pb::ListMappingsResponse> {
        let code = parse::code("system_code", &m.system_code)?;
        let size = page::size(m.page_size, 50, 200)?;
        let below: Option<i32> = page::decode(&m.page_token)?;
        let mut conn = self.desk.db.conn().await?;
        let known = systems::get(&mut conn, &code).await?;
        known.ok_or_else(|| Error::not_found(systems::KIND, &code))?;
        let mut rows = mappings::list(&mut conn, &code, below.unwrap_or(i32::MAX), size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.mapping_version);
        let mappings = rows.iter().map(forms::version).collect::<Result<_>>()?;
        Ok(pb::ListMappingsResponse { mappings, next_page_token })
    }

    pub(super) async fn activate(
        &self,
        caller: &Caller,
        m: pb::ActivateMappingRequest,
    ) -> Result<pb::ActivateMappingResponse> {
        let meta = Meta::new("ActivateMapping", &m.request_id, &m)?;
        let code = parse::code("system_code", &m.system_code)?;
        let number = version("mapping_version", m.mapping_version)?;
        let endpoint = self.endpoint(&m.endpoint)?;
        let by = caller.actor_ref.clone();
        once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            let system = systems::lock(tx.conn, &code).await?;
            let draft = found(tx, &code, number).await?;
            // Who names none has seen none: that is enough only where there is none.
            if endpoint.is_empty() && !system.endpoint.is_empty() {
                return Err(Error::invalid("endpoint", "is required: the one that the system has"));
            }
            let wrong = |message: String| Err(Error::wrong_state(mappings::KIND, number, message));
            if draft.state != "draft" {
                return wrong("it is not a draft".to_owned());
            }
            if draft.drafted_by == by {
                return wrong("somebody else than its drafter puts it in force".to_owned());
            }
            if endpoint != system.endpoint {
                let message = "endpoint_moved: its system has another endpoint by now";
                return Err(Error::barred(mappings::KIND, number, "endpoint_moved", message));
            }
            if let Some(problem) = self.problems(&draft.mapping()?).first() {
                return wrong(format!("it no longer fits: {} {}", problem.field, problem.code));
            }
            mappings::put_in_force(tx.conn, &code, number, &endpoint, &by, tx.now).await?;
            let mapping = Some(forms::version(&found(tx, &code, number).await?)?);
            Ok(pb::ActivateMappingResponse { mapping })
        })
        .await
    }

    pub(super) async fn roll_back(
        &self,
        caller: &Caller,
        m: pb::RollBackMappingRequest,
    ) -> Result<pb::RollBackMappingResponse> {
        let meta = Meta::new("RollBackMapping", &m.request_id, &m)?;
        let code = parse::code("system_code", &m.system_code)?;
        let number = version("mapping_version", m.mapping_version)?;
        once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            systems::lock(tx.conn, &code).await?;
            let known = found(tx, &code, number).await?;
            if known.state != "in_force" {
                return Err(Error::wrong_state(mappings::KIND, number, "it is not in force"));
            }
            mappings::set_state(tx.conn, &code, number, "withdrawn").await?;
            // For the endpoint that it was put in force for: nobody confirms another one by this.
            if let Some(before) = known.replaced {
                mappings::set_state(tx.conn, &code, before, "in_force").await?;
            }
            let mapping = Some(forms::version(&found(tx, &code, number).await?)?);
            Ok(pb::RollBackMappingResponse { mapping })
        })
        .await
    }
}

async fn found(tx: &mut Tx<'_>, system: &str, number: i32) -> Result<Version> {
    let found = mappings::get(tx.conn, system, number).await?;
    found.ok_or_else(|| Error::not_found(mappings::KIND, number))
}

fn version(field: &str, number: i32) -> Result<i32> {
    if number > 0 { Ok(number) } else { Err(Error::invalid(field, "must be at least 1")) }
}

/// Lines by which cases are handed off to a system.
fn lines(codes: &[String]) -> Result<Vec<String>> {
    for (place, line) in parse::bounded("line_codes", codes)?.iter().enumerate() {
        parse::code(&format!("line_codes[{place}]"), line)?;
    }
    Ok(codes.to_vec())
}

fn name(field: &str, text: &str) -> Result<String> {
    let name = forms::code(field, text, 100)?;
    if name.is_empty() { Err(Error::invalid(field, "has 1–100 characters")) } else { Ok(name) }
}
