//! The classifier in force, held in memory by every replica and read again when another one is: what it suggests for a text.
//! Only redacted texts come here; nothing of a text is kept.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use arc_swap::ArcSwapOption;
use chassis::{Error, Result, Timestamp, db::Db};
use classifier::{Model, Scratch, text::parts};
use tokio_util::sync::CancellationToken;

use crate::{
    atlas::World,
    domain::{Case, Suggestion},
    store::models as store,
};

/// Characters of a text that are looked at: people begin with what it is about, and an answer must not keep others waiting.
const LOOKED_AT: usize = 1_000;
/// Items suggested at most.
const ITEMS: usize = 3;
/// Words shown for an item at most.
const WORDS: usize = 5;

/// A version, ready to be asked.
#[derive(Debug)]
pub struct Installed {
    /// Its number.
    pub version: i32,
    model: Model,
    /// By label.
    items: Vec<Option<String>>,
}

/// An item with how probable it is, and the class of the model that spoke most for it.
struct Likely<'a> {
    code: &'a str,
    probability: f64,
    class: usize,
}

/// A suggested item as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub code: String,
    pub probability: f64,
    pub words: Vec<String>,
}

impl Installed {
    /// A version with what its labels are in the catalogue.
    pub fn new(version: i32, model: Model, label_items: &BTreeMap<String, Option<String>>) -> Self {
        let item = |label: &String| label_items.get(label).cloned().unwrap_or_else(|| Some(label.clone()));
        let items = model.classes().iter().map(item).collect();
        Self { version, model, items }
    }

    /// Items of the catalogue, most probable first; none where the model knows no word of the text.
    fn likely<'a>(
        &'a self,
        world: &World,
        now: Timestamp,
        subject: &str,
        detail: &str,
        scratch: &mut Scratch,
    ) -> Vec<Likely<'a>> {
        let mut by_item: BTreeMap<&str, Likely<'a>> = BTreeMap::new();
        let probabilities = self.model.predict(subject, detail, scratch).to_vec();
        if scratch.knew_nothing() {
            return Vec::new();
        }
        for (class, (item, one)) in self.items.iter().zip(&probabilities).enumerate() {
            // What has left the catalogue since is no suggestion.
            let Some(code) = item.as_deref().filter(|code| world.item(code, now).is_some()) else { continue };
            let known = by_item.entry(code).or_insert(Likely { code, probability: 0.0, class });
            if *one > probabilities[known.class] {
                known.class = class;
            }
            known.probability += f64::from(*one);
        }
        let mut likely: Vec<Likely<'a>> = by_item.into_values().collect();
        likely.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.code.cmp(b.code)));
        likely.truncate(ITEMS);
        likely
    }

    /// What a redacted text may be about, with the words that spoke for it.
    pub fn shown(&self, world: &World, now: Timestamp, text: &str) -> Vec<Shown> {
        let (subject, detail) = parts(beginning(text));
        let mut scratch = Scratch::default();
        let likely = self.likely(world, now, subject, detail, &mut scratch);
        let with_words = likely.into_iter().map(|likely| {
            let words = self.model.words(subject, detail, likely.class, WORDS, &mut scratch);
            Shown {
                code: likely.code.to_owned(),
                probability: likely.probability.min(1.0),
                words: words.into_iter().map(|word| word.text).collect(),
            }
        });
        with_words.collect()
    }

    /// The same, as it is kept beside a case.
    fn suggestion(&self, world: &World, now: Timestamp, text: &str) -> Option<Suggestion> {
        let (subject, detail) = parts(beginning(text));
        let likely = self.likely(world, now, subject, detail, &mut Scratch::default());
        let first = likely.first()?;
        Some(Suggestion {
            model: self.version,
            permille: permille(first.probability),
            items: likely.iter().map(|likely| likely.code.to_owned()).collect(),
        })
    }
}

fn beginning(text: &str) -> &str {
    text.char_indices().nth(LOOKED_AT).map_or(text, |(offset, _)| &text[..offset])
}

/// Rounded down: what is shown as reaching a threshold reaches it.
fn permille(probability: f64) -> u16 {
    (probability.clamp(0.0, 1.0) * 1_000.0) as u16
}

/// The label that an item has in a model; the item's own code where it has none or several.
pub fn label_of<'a>(label_items: &'a BTreeMap<String, Option<String>>, item: &'a str) -> &'a str {
    let mut labels = label_items.iter().filter(|(_, to)| to.as_deref() == Some(item)).map(|(label, _)| label);
    match (labels.next(), labels.next()) {
        (Some(label), None) => label,
        _ => item,
    }
}

/// Keeps the version in force.
#[derive(Debug, Default)]
pub struct Models {
    held: ArcSwapOption<Installed>,
    /// A version that this program cannot read, such as one of another form after an upgrade; 0: none. It is not tried again
    /// and again, and the service goes on without suggestions.
    unreadable: AtomicI32,
    /// Thousandths from which the machine triages by itself.
    threshold: Option<u16>,
}

impl Models {
    /// Reads the version in force, if there is one.
    ///
    /// # Errors
    /// From the database, and for a threshold that is none.
    pub async fn open(db: &Db, threshold: Option<f64>) -> anyhow::Result<Arc<Self>> {
        if let Some(threshold) = threshold {
            ensure!(
                threshold > 0.0 && threshold <= 1.0,
                "services.case-routing.classify_threshold: must be above 0 and at most 1"
            );
        }
        let models = Self { threshold: threshold.map(permille).map(|n| n.max(1)), ..Self::default() };
        models.refresh(db).await?;
        Ok(Arc::new(models))
    }

    /// The version in force.
    pub fn installed(&self) -> Option<Arc<Installed>> {
        self.held.load_full()
    }

    /// From this probability on the machine triages by itself.
    pub fn threshold(&self) -> Option<f64> {
        self.threshold.map(|permille| f64::from(permille) / 1_000.0)
    }

    /// Whether a probability is enough for the machine.
    pub fn is_met(&self, probability: f64) -> bool {
        self.threshold.is_some_and(|threshold| permille(probability) >= threshold)
    }

    /// What is suggested beside a human's triage of a case that has no item yet.
    pub fn beside(&self, world: &World, now: Timestamp, case: &Case) -> Option<Suggestion> {
        if case.item.is_some() {
            return None;
        }
        self.held.load().as_ref()?.suggestion(world, now, &case.text_redacted)
    }

    /// What the machine would triage a new case by, from its redacted text: only where the cell lets it, and it is sure
    /// enough.
    pub fn by_itself(&self, world: &World, now: Timestamp, text: &str) -> Option<Suggestion> {
        let threshold = self.threshold?;
        let suggestion = self.held.load().as_ref()?.suggestion(world, now, text)?;
        (suggestion.permille >= threshold).then_some(suggestion)
    }

    /// Reads the version in force again if it is another one.
    ///
    /// # Errors
    /// From the database.
    pub async fn refresh(&self, db: &Db) -> Result<()> {
        let mut conn = db.conn().await?;
        let wanted = store::in_force(&mut conn).await?;
        let known = self.held.load().as_ref().map(|installed| installed.version);
        if wanted == known || wanted == Some(self.unreadable.load(Ordering::Relaxed)) {
            return Ok(());
        }
        let Some(wanted) = wanted else {
            self.held.store(None);
            return Ok(());
        };
        let row = store::version(&mut conn, wanted).await?;
        let row = row.ok_or_else(|| Error::internal("the model in force is not there"))?;
        let file = store::file(&mut conn, &row.sha256).await?;
        drop(conn);
        let model = match read(file).await? {
            Ok(model) => model,
            Err(error) => {
                tracing::error!(model.version = wanted, %error, "the model in force cannot be read: nothing is suggested");
                self.unreadable.store(wanted, Ordering::Relaxed);
                self.held.store(None);
                return Ok(());
            }
        };
        let label_items = serde_json::from_value(row.label_items).map_err(Error::internal)?;
        self.held.store(Some(Arc::new(Installed::new(wanted, model, &label_items))));
        Ok(())
    }

    /// Follows what is put in force until `stop`. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn keep_current(
        self: Arc<Self>,
        db: Db,
        pause: Duration,
        stop: CancellationToken,
    ) -> Result<()> {
        loop {
            if let Err(error) = self.refresh(&db).await {
                tracing::warn!(error = %error.chain(), "the classifier is read again later");
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// Reads a model file, beside the runtime: a large one takes a moment.
pub async fn read(file: Vec<u8>) -> Result<Result<Model, classifier::Error>> {
    tokio::task::spawn_blocking(move || Model::read(file.as_slice())).await.map_err(Error::task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_goes_back_to_its_label_where_there_is_one() {
        let map = |pairs: &[(&str, Option<&str>)]| -> BTreeMap<String, Option<String>> {
            pairs.iter().map(|(label, item)| ((*label).to_owned(), item.map(str::to_owned))).collect()
        };
        let labels =
            map(&[("物业", Some("CJ-1")), ("噪音", Some("HB-1")), ("噪声", Some("HB-1")), ("其他", None)]);
        assert_eq!(label_of(&labels, "CJ-1"), "物业");
        assert_eq!(label_of(&labels, "HB-1"), "HB-1", "which of the two is not known");
        assert_eq!(label_of(&labels, "XX-1"), "XX-1");
    }

    #[test]
    fn thousandths_are_rounded_down() {
        assert_eq!([permille(0.9999), permille(1.0), permille(0.95), permille(-1.0)], [999, 1_000, 950, 0]);
    }
}
