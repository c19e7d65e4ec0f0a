//! What `jianghan classify` does with a running suite: brings a model to it, takes it back, and asks it.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use proto::case_routing::v1::{
    InstallModelRequest, LabelItem, ListModelsRequest, ModelVersion, PutModelPartRequest,
    RollBackModelRequest, SuggestItemsRequest, SuggestItemsResponse, SuggestionState,
    suggest_items_request::About,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::print;
use crate::{
    commands::Target,
    out, simulate,
    suite::{Session, Suite, request_id},
};

/// Bytes of a part.
const PART: usize = 1 << 20;
/// How long a call is sent again while the suite is away.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(ClapArgs)]
pub struct InstallArgs {
    /// The model, as `train` writes it.
    #[arg(long, value_name = "M")]
    model: PathBuf,
    /// For labels that are no item codes: a TOML file with `[labels]`, label = "item code"; an empty code leaves such texts to a
    /// human. Without it every label must be an item code.
    #[arg(long, value_name = "MAP.toml")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(ClapArgs)]
pub struct ModelsArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(ClapArgs)]
pub struct RollBackArgs {
    /// The former version; 0: none is in force any more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    to: i32,
    #[command(flatten)]
    common: Common,
}

#[derive(ClapArgs)]
pub struct SuggestArgs {
    /// Id of a case.
    #[arg(long, value_name = "CASE", required_unless_present = "text", conflicts_with = "text")]
    case: Option<String>,
    /// A text; phone, identity, bank and mail patterns are blanked first.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// What all of them take.
#[derive(ClapArgs)]
pub struct Common {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    target: Target,
}

impl Common {
    pub fn connect(&self, role: &str) -> Result<(Suite, Arc<Session>)> {
        let file = self.target.read()?;
        let suite = Suite::patient(&file.addresses, PATIENCE)?;
        if role == "it_operator" {
            let session = simulate::operator(&suite, &file)?;
            return Ok((suite, session));
        }
        let account = file.accounts.iter().find(|account| account.role == role);
        let account = account.with_context(|| format!("the accounts file holds no {role}"))?.clone();
        let session = Session::new(&suite, account);
        Ok((suite, session))
    }

    /// The suite, and its operator.
    pub fn operator(&self) -> Result<(Suite, Arc<Session>)> {
        self.connect("it_operator")
    }
}

/// The map of a file.
#[derive(Deserialize)]
struct Labels {
    labels: BTreeMap<String, String>,
}

fn labels(path: &Path) -> Result<Vec<LabelItem>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--labels: cannot read {}", path.display()))?;
    let file: Labels = toml::from_str(&text).with_context(|| format!("--labels: {}", path.display()))?;
    Ok(file.labels.into_iter().map(|(label, item_code)| LabelItem { label, item_code }).collect())
}

#[derive(Serialize)]
struct Version {
    model_version: i32,
    sha256: String,
    bytes: i64,
    labels: i32,
    items: i32,
    in_force: bool,
    installed: String,
}

impl Version {
    fn of(model: &ModelVersion) -> Self {
        Self {
            model_version: model.model_version,
            sha256: model.sha256.clone(),
            bytes: model.size_bytes,
            labels: model.label_count,
            items: model.item_count,
            in_force: model.in_force,
            installed: instant(model.install_time.as_ref()),
        }
    }

    fn text(&self) -> String {
        let mark = if self.in_force { "在用 in force" } else { "" };
        format!(
            "{:>4}  {:.1} MB  {} labels → {} items  {}  {}  {mark}\n",
            self.model_version,
            self.bytes as f64 / 1e6,
            self.labels,
            self.items,
            self.installed,
            &self.sha256[..self.sha256.len().min(12)]
        )
    }
}

fn instant(at: Option<&prost_types::Timestamp>) -> String {
    let at = at.and_then(chassis::clock::from_proto);
    at.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

/// Brings the file in parts and puts it in force. Cut off, it can be begun again: what was brought is brought again.
pub async fn install(args: &InstallArgs) -> Result<ExitCode> {
    let file = std::fs::read(&args.model).with_context(|| format!("cannot read {}", args.model.display()))?;
    // Refused here already if it is none, before anything is sent.
    classifier::Model::read(file.as_slice()).with_context(|| args.model.display().to_string())?;
    let label_items = args.labels.as_deref().map(labels).transpose()?.unwrap_or_default();
    let sha256: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    let (suite, session) = args.common.operator()?;
    for (part, data) in (0..).zip(file.chunks(PART)) {
        let request = PutModelPartRequest {
            sha256: sha256.clone(),
            request_id: request_id(),
            part,
            data: data.to_vec(),
        };
        suite.classifier().put_model_part(session.request(request).await?).await?;
        if std::io::stderr().is_terminal() {
            out::aside(format_args!("\r{} of {} parts", part + 1, file.len().div_ceil(PART)));
        }
    }
    if std::io::stderr().is_terminal() {
        out::note!("");
    }
    // The same file brought again is another version: it may be mapped otherwise.
    let request = InstallModelRequest { request_id: request_id(), sha256, label_items };
    let answer = suite.classifier().install_model(session.request(request).await?).await;
    let model = answer.context("the model was not taken")?.into_inner().model;
    let version = Version::of(&model.context("an answer without the model")?);
    print(args.common.json, &version, || version.text())?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Models {
    in_force: i32,
    threshold: Option<f64>,
    models: Vec<Version>,
}

/// Lists the versions.
pub async fn models(args: &ModelsArgs) -> Result<ExitCode> {
    let (suite, session) = args.common.operator()?;
    let mut all = Models { in_force: 0, threshold: None, models: Vec::new() };
    let mut page_token = String::new();
    loop {
        let request = ListModelsRequest { page_size: 200, page_token };
        let page = suite.classifier().list_models(session.request(request).await?).await?.into_inner();
        (all.in_force, all.threshold) = (page.in_force_version, page.threshold);
        all.models.extend(page.models.iter().map(Version::of));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    print(args.common.json, &all, || {
        let mut text: String = all.models.iter().map(Version::text).collect();
        match all.threshold {
            Some(threshold) => text.push_str(&format!("自动研判门槛 the machine triages from {threshold}\n")),
            None => text.push_str("由人工研判 a human always triages (classify_threshold is not set)\n"),
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Puts a former version in force.
pub async fn roll_back(args: &RollBackArgs) -> Result<ExitCode> {
    let (suite, session) = args.common.operator()?;
    let request = RollBackModelRequest { model_version: args.to, request_id: request_id() };
    let answer = suite.classifier().roll_back_model(session.request(request).await?).await?.into_inner();
    #[derive(Serialize)]
    struct InForce {
        in_force: i32,
    }
    let in_force = answer.in_force_version;
    print(args.common.json, &InForce { in_force }, || match in_force {
        0 => "no model is in force\n".to_owned(),
        version => format!("model {version} is in force\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Suggested {
    state: &'static str,
    model_version: i32,
    threshold: Option<f64>,
    threshold_met: bool,
    suggestions: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    item_code: String,
    name_zh: String,
    name_en: String,
    probability: f64,
    words: Vec<String>,
}

impl Suggested {
    fn of(answer: SuggestItemsResponse) -> Self {
        let state = match answer.state() {
            SuggestionState::Suggested => "suggested",
            SuggestionState::NoModel => "no_model",
            SuggestionState::NothingKnown | SuggestionState::Unspecified => "nothing_known",
        };
        let items = answer.suggestions.into_iter().map(|one| Item {
            item_code: one.item_code,
            name_zh: one.name_zh,
            name_en: one.name_en,
            probability: one.probability,
            words: one.words,
        });
        Self {
            state,
            model_version: answer.model_version,
            threshold: answer.threshold,
            threshold_met: answer.threshold_met,
            suggestions: items.collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = match self.state {
            "no_model" => "没有启用的模型 no model is in force\n".to_owned(),
            "nothing_known" => "模型不认识其中的词 the model knows no word of it\n".to_owned(),
            _ => String::new(),
        };
        for one in &self.suggestions {
            let (code, percent, words) = (&one.item_code, one.probability * 100.0, one.words.join(" "));
            text.push_str(&format!(
                "{code:<10} {percent:>5.1} %  {} / {}  [{words}]\n",
                one.name_zh, one.name_en
            ));
        }
        text
    }
}

/// Asks what a case or a text is about.
pub async fn suggest(args: &SuggestArgs) -> Result<ExitCode> {
    let (suite, session) = args.common.connect("district_dispatcher")?;
    let about = match (&args.case, &args.text) {
        (Some(case), _) => About::CaseId(case.clone()),
        (None, Some(text)) => About::Text(text.clone()),
        (None, None) => bail!("--case or --text"),
    };
    let request = session.request(SuggestItemsRequest { about: Some(about) }).await?;
    let told = Suggested::of(suite.classifier().suggest_items(request).await?.into_inner());
    print(args.common.json, &told, || told.text())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_map_of_labels_is_read_from_its_table() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        file.write_all("refine = true\n[labels]\n\"民政\" = \"MZ-9901\"\n\"其他\" = \"\"\n".as_bytes())
            .expect("written");
        let read = labels(file.path()).expect("read");
        assert_eq!(read.len(), 2);
        assert!(read.iter().any(|one| one.label == "其他" && one.item_code.is_empty()));
    }
}
