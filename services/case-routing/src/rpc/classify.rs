//! `ClassifyService`: which classifier is in force, what it suggests, and where people decided otherwise.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{
    Error, Result, RpcResult,
    auth::Caller,
    clock::to_proto,
    command::{Meta, once},
    db::Tx,
    page,
    proto::case_routing::v1::{self as pb, classify_service_server::ClassifyService},
};
use chrono::TimeDelta;
use classifier::text::parts;
use sha2::{Digest, Sha256};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{desk::Desk, parse};
use crate::{
    atlas::World,
    domain::CaseId,
    models::{self, Installed, label_of},
    reach,
    redact::redact,
    store::{
        models::{self as store, ModelRow},
        suggestions::{self, Corrected, Tally},
    },
};

/// Bytes of a part, bytes of a model and parts of a model at most.
const PART: usize = 1 << 20;
const MODEL: usize = 20_000_000;
const PARTS: i32 = 40;
/// Labels of a map at most: as many as a model has.
const LABELS: usize = 1_000;
/// Days of decisions that accuracy is asked for without a period.
const ACCURACY_DAYS: i64 = 90;
/// Bytes of a correction beside the text, at most.
const BESIDE_TEXT: usize = 1_200;
/// Below this many decisions a share says little.
const SMALL_SAMPLE: i64 = 30;

/// The RPCs.
#[derive(Clone)]
pub struct Classify(pub Desk);

type LabelItems = BTreeMap<String, Option<String>>;

impl Classify {
    /// Refuses whoever's grant does not cover the whole district on every line.
    fn of_district(&self, caller: &Caller) -> Result<()> {
        let district = self.0.atlas.world().district();
        let covers = |path: std::sync::Arc<[Uuid]>| {
            let mut scopes = reach::place_scopes(caller);
            scopes.any(|scope| scope.line.is_none() && path.contains(&scope.unit_id))
        };
        if district.is_some_and(covers) { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// Lets this replica follow at once; the others hear of it in a moment.
    async fn changed(&self) {
        if let Err(error) = self.0.models.refresh(&self.0.db).await {
            tracing::warn!(error = %error.chain(), "the classifier is read again later");
        }
    }
}

#[tonic::async_trait]
impl ClassifyService for Classify {
    async fn put_model_part(
        &self,
        request: Request<pb::PutModelPartRequest>,
    ) -> RpcResult<pb::PutModelPartResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("PutModelPart", &request.request_id, &request)?;
        let sha256 = digest("sha256", &request.sha256)?;
        let part = i16::try_from(request.part).ok().filter(|part| (0..PARTS as i16).contains(part));
        let part = part.ok_or_else(|| Error::invalid("part", "must be between 0 and 39"))?;
        if !(1..=PART).contains(&request.data.len()) {
            return Err(Error::invalid("data", "must have 1 byte to 1 MiB").into());
        }
        self.of_district(&caller)?;
        let answer = once(&self.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            let size_bytes = store::put_part(tx.conn, &sha256, part, &request.data, tx.now).await?;
            Ok(pb::PutModelPartResponse { size_bytes })
        });
        Ok(Response::new(answer.await?))
    }

    async fn install_model(
        &self,
        request: Request<pb::InstallModelRequest>,
    ) -> RpcResult<pb::InstallModelResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("InstallModel", &request.request_id, &request)?;
        let sha256 = digest("sha256", &request.sha256)?;
        let world = self.0.atlas.world();
        let label_items = label_items(&request.label_items, &world)?;
        self.of_district(&caller)?;
        let by = caller.actor_ref.clone();
        let answer = once(&self.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            store::lock(tx.conn).await?;
            let file = store::file(tx.conn, &sha256).await?;
            let size_bytes = i64::try_from(file.len()).map_err(Error::internal)?;
            if file.len() > MODEL {
                return Err(Error::invalid("sha256", "the file is larger than 20 MB"));
            }
            if hex(&Sha256::digest(&file)) != sha256 {
                return Err(Error::not_found("model_file", sha256));
            }
            let model =
                models::read(file).await?.map_err(|error| Error::invalid("sha256", error.to_string()))?;
            let (label_items, item_count) = settled(model.classes(), &label_items, &world)?;
            let row = ModelRow {
                model_version: store::next(tx.conn).await?,
                sha256,
                size_bytes,
                label_count: count(model.classes().len()),
                item_count: count(item_count),
                label_items: serde_json::to_value(label_items).map_err(Error::internal)?,
                installed_by: by.clone(),
                installed_at: tx.now,
            };
            store::insert(tx.conn, &row).await?;
            store::change(tx.conn, Some(row.model_version), &by, tx.now).await?;
            let in_force = Some(row.model_version);
            Ok(pb::InstallModelResponse { model: Some(told(row, in_force)) })
        })
        .await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> RpcResult<pb::ListModelsResponse> {
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let below: i32 = page::decode(&request.page_token)?.unwrap_or(i32::MAX);
        let mut conn = self.0.db.conn().await?;
        let mut rows = store::versions(&mut conn, below, size + 1).await?;
        let in_force = store::in_force(&mut conn).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.model_version);
        Ok(Response::new(pb::ListModelsResponse {
            models: rows.into_iter().map(|row| told(row, in_force)).collect(),
            next_page_token,
            in_force_version: in_force.unwrap_or_default(),
            threshold: self.0.models.threshold(),
        }))
    }

    async fn roll_back_model(
        &self,
        request: Request<pb::RollBackModelRequest>,
    ) -> RpcResult<pb::RollBackModelResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("RollBackModel", &request.request_id, &request)?;
        let wanted = match request.model_version {
            0 => None,
            1.. => Some(request.model_version),
            _ => return Err(Error::invalid("model_version", "must not be negative").into()),
        };
        self.of_district(&caller)?;
        let by = caller.actor_ref.clone();
        let answer = once(&self.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            store::lock(tx.conn).await?;
            if let Some(version) = wanted
                && !store::exists(tx.conn, version).await?
            {
                return Err(Error::not_found("model", version.to_string()));
            }
            if store::in_force(tx.conn).await? == wanted {
                let id = wanted.unwrap_or_default().to_string();
                return Err(Error::wrong_state("model", id, "this is how it stands already"));
            }
            store::change(tx.conn, wanted, &by, tx.now).await?;
            Ok(pb::RollBackModelResponse { in_force_version: wanted.unwrap_or_default() })
        })
        .await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    async fn suggest_items(
        &self,
        request: Request<pb::SuggestItemsRequest>,
    ) -> RpcResult<pb::SuggestItemsResponse> {
        use pb::suggest_items_request::About;
        let caller = self.0.caller(&request)?;
        let text = match request.into_inner().about {
            None => return Err(Error::invalid("case_id", "name a case or give a text").into()),
            Some(About::CaseId(id)) => {
                let id: CaseId = parse::id("case_id", &id)?;
                self.0.find(&caller, id).await?.case.text_redacted.clone()
            }
            Some(About::Text(text)) => redact(&parse::words("text", &text, 1, 20_000)?),
        };
        let world = self.0.atlas.world();
        Ok(Response::new(suggested(&self.0, self.0.models.installed().as_deref(), &world, &text)))
    }

    async fn list_corrections(
        &self,
        request: Request<pb::ListCorrectionsRequest>,
    ) -> RpcResult<pb::ListCorrectionsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 200, 500)?;
        let after: Uuid = page::decode(&request.page_token)?.unwrap_or_default();
        let since = parse::optional_time("since_time", request.since_time.as_ref())?;
        let model = match request.model_version {
            0 => None,
            1.. => Some(request.model_version),
            _ => return Err(Error::invalid("model_version", "must not be negative").into()),
        };
        self.of_district(&caller)?;
        let mut conn = self.0.db.conn().await?;
        let mut rows = suggestions::corrections(&mut conn, model, since, after, size + 1).await?;
        let next_page_token = page::cut_fitting(
            &mut rows,
            size,
            |row| row.text_redacted.len() + BESIDE_TEXT,
            |row| row.case_id,
        );
        let mut labels: BTreeMap<i32, LabelItems> = BTreeMap::new();
        for version in rows.iter().map(|row| row.model_version).collect::<BTreeSet<_>>() {
            let row = store::version(&mut conn, version).await?;
            let row = row.ok_or_else(|| Error::internal("a suggestion of a model that is not there"))?;
            labels.insert(version, serde_json::from_value(row.label_items).map_err(Error::internal)?);
        }
        let corrections = rows.into_iter().map(|row| correction(&labels, row)).collect();
        Ok(Response::new(pb::ListCorrectionsResponse { corrections, next_page_token }))
    }

    async fn get_model_accuracy(
        &self,
        request: Request<pb::GetModelAccuracyRequest>,
    ) -> RpcResult<pb::GetModelAccuracyResponse> {
        let request = request.into_inner();
        let until = parse::optional_time("until_time", request.until_time.as_ref())?;
        let since = parse::optional_time("since_time", request.since_time.as_ref())?;
        // What is decided at this very instant counts.
        let until = until.unwrap_or_else(|| self.0.clock.now() + TimeDelta::microseconds(1));
        let since = since.unwrap_or_else(|| until - TimeDelta::days(ACCURACY_DAYS));
        let tallies = suggestions::tallies(&mut *self.0.db.conn().await?, since, until).await?;
        let versions = tallies.iter().map(accuracy).collect();
        Ok(Response::new(pb::GetModelAccuracyResponse { versions }))
    }
}

fn suggested(
    desk: &Desk,
    installed: Option<&Installed>,
    world: &World,
    text: &str,
) -> pb::SuggestItemsResponse {
    let threshold = desk.models.threshold();
    let Some(installed) = installed else {
        let state = pb::SuggestionState::NoModel.into();
        return pb::SuggestItemsResponse { state, threshold, ..Default::default() };
    };
    let shown = installed.shown(world, desk.clock.now(), text);
    let state =
        if shown.is_empty() { pb::SuggestionState::NothingKnown } else { pb::SuggestionState::Suggested };
    let threshold_met = shown.first().is_some_and(|first| desk.models.is_met(first.probability));
    let suggestions = shown.into_iter().map(|shown| {
        let (name_zh, name_en) = world.item_names(&shown.code);
        pb::ItemSuggestion {
            name_zh: name_zh.to_owned(),
            name_en: name_en.to_owned(),
            item_code: shown.code,
            probability: shown.probability,
            words: shown.words,
        }
    });
    pb::SuggestItemsResponse {
        state: state.into(),
        suggestions: suggestions.collect(),
        model_version: installed.version,
        threshold,
        threshold_met,
    }
}

/// 64 hexadecimal digits.
fn digest(field: &str, text: &str) -> Result<String> {
    let hexadecimal = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    if text.len() != 64 || !text.chars().all(hexadecimal) {
        return Err(Error::invalid(field, "must be 64 hexadecimal digits in lower case"));
    }
    Ok(text.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The map of a request, each label once and each item in the catalogue.
fn label_items(given: &[pb::LabelItem], world: &World) -> Result<LabelItems> {
    if given.len() > LABELS {
        return Err(Error::invalid("label_items", "has at most 1000 entries"));
    }
    let mut map = LabelItems::new();
    for (number, pb::LabelItem { label, item_code }) in given.iter().enumerate() {
        let field = |name: &str| format!("label_items[{number}].{name}");
        if label.is_empty() || label.chars().count() > 200 {
            return Err(Error::invalid(field("label"), "must have 1–200 characters"));
        }
        let item = Some(item_code).filter(|code| !code.is_empty());
        if item.is_some_and(|code| world.items().newest(code).is_none()) {
            return Err(Error::invalid(field("item_code"), "no such item in the catalogue"));
        }
        if map.insert(label.clone(), item.cloned()).is_some() {
            return Err(Error::invalid(field("label"), "stands here twice"));
        }
    }
    Ok(map)
}

/// What the labels of a model are, and how many items that makes. Labels are the operator's own words, not a resident's: the one
/// that means nothing here is named.
fn settled(classes: &[String], given: &LabelItems, world: &World) -> Result<(LabelItems, usize)> {
    let (mut map, mut items) = (LabelItems::new(), BTreeSet::new());
    for class in classes {
        let item = match given.get(class) {
            Some(item) => {
                map.insert(class.clone(), item.clone());
                item.as_ref()
            }
            None if world.items().newest(class).is_some() => Some(class),
            None => {
                let message = format!("label `{class}` is neither mapped nor the code of an item");
                return Err(Error::invalid("label_items", message));
            }
        };
        items.extend(item);
    }
    let count = items.len();
    Ok((map, count))
}

fn told(row: ModelRow, in_force: Option<i32>) -> pb::ModelVersion {
    pb::ModelVersion {
        in_force: in_force == Some(row.model_version),
        model_version: row.model_version,
        sha256: row.sha256,
        size_bytes: row.size_bytes,
        label_count: row.label_count,
        item_count: row.item_count,
        installed_by: row.installed_by,
        install_time: Some(to_proto(row.installed_at)),
    }
}

fn correction(labels: &BTreeMap<i32, LabelItems>, row: Corrected) -> pb::Correction {
    let (subject, detail) = parts(&row.text_redacted);
    let label = labels.get(&row.model_version).map_or(row.chosen.as_str(), |map| label_of(map, &row.chosen));
    pb::Correction {
        case_id: row.case_id.to_string(),
        subject: subject.to_owned(),
        detail: detail.to_owned(),
        label: label.to_owned(),
        suggested_item_code: row.suggested,
        chosen_item_code: row.chosen.clone(),
        probability: f64::from(row.permille) / 1_000.0,
        model_version: row.model_version,
        by_machine: row.automatic,
        decided_time: Some(to_proto(row.decided_at)),
    }
}

fn accuracy(tally: &Tally) -> pb::ModelAccuracy {
    let share = |part: i64, of: i64| (of > 0).then(|| part as f64 / of as f64);
    pb::ModelAccuracy {
        model_version: tally.model_version,
        decided: tally.decided,
        first_right: tally.first_right,
        in_first_three: tally.in_first_three,
        accuracy: share(tally.first_right, tally.decided),
        top_three_accuracy: share(tally.in_first_three, tally.decided),
        automatic: tally.automatic,
        automatic_corrected: tally.automatic_corrected,
        automatic_corrected_share: share(tally.automatic_corrected, tally.automatic),
        small_sample: tally.decided < SMALL_SAMPLE,
    }
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
