//! `jianghan calendar key`, `sign` and `import`: the way of a yearly notice, or of an order about the working hours of a
//! unit, from its file into a running suite. Signing needs no network: the private key stays with whoever answers for the
//! calendar, the services know the public half.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use calendar::{Calendar, HoursOrder, Notice};
use case_routing::notice::{NoticeKey, Paper, TrustedKey};
use chassis::files;
use clap::Args as ClapArgs;
use proto::case_routing::v1::{
    CalendarYear, ImportNoticeRequest, ImportWorkingHoursRequest, UnitClosure, WorkingHours, WorkingSeason,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{commands::Target, out, simulate, suite::Suite};

/// Arguments of `calendar key`.
#[derive(ClapArgs)]
pub struct KeyArgs {
    /// Where the private key goes (mode 0600); a file that is there is not touched.
    #[arg(value_name = "KEY.pem")]
    key: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `calendar sign`.
#[derive(ClapArgs)]
pub struct SignArgs {
    /// The notice, or the order.
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Private key, as `calendar key` makes it.
    #[arg(long, value_name = "KEY.pem")]
    key: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `calendar import`.
#[derive(ClapArgs)]
pub struct ImportArgs {
    /// The notice, or the order; its signature lies beside it in FILE.toml.sig.
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Makes a key pair and prints the public key.
pub fn key(args: &KeyArgs) -> Result<ExitCode> {
    let key = new_key(&args.key)?;
    if args.json {
        out::say!("{}", json!({ "public_key": key.to_string(), "file": args.key }))?;
        return Ok(ExitCode::SUCCESS);
    }
    out::say!("{key}")?;
    out::note!("the services trust it as JIANGHAN_CALENDAR_KEY; keep {} apart from them", args.key.display());
    Ok(ExitCode::SUCCESS)
}

/// Signs what can be imported, and nothing else.
pub fn sign(args: &SignArgs) -> Result<ExitCode> {
    let (text, content) = read(&args.file)?;
    if let Content::Notice(notice) = &content {
        super::warn_if_passed_over(Calendar::builtin(), notice);
    }
    let pem = std::fs::read_to_string(&args.key)
        .with_context(|| format!("--key: cannot read {}", args.key.display()))?;
    let key = NoticeKey::from_pem(&pem).with_context(|| format!("--key: {}", args.key.display()))?;
    let signature = signature_path(&args.file);
    std::fs::write(&signature, key.sign_as(content.paper(), &text) + "\n")
        .with_context(|| format!("cannot write {}", signature.display()))?;
    if args.json {
        out::say!("{}", json!({ "signature": signature, "signed": content.as_json()? }))?;
        return Ok(ExitCode::SUCCESS);
    }
    out::say!("{}", content.summary()?)?;
    out::say!("签名 signature {}", signature.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Brings a signed notice or order to the suite. Given again, the same file answers the same.
pub async fn import(args: ImportArgs) -> Result<ExitCode> {
    let (text, content) = read(&args.file)?;
    let beside = signature_path(&args.file);
    let signature = std::fs::read_to_string(&beside).with_context(|| {
        format!("cannot read {}; sign it with `jianghan calendar sign`", beside.display())
    })?;
    let signature = signature.trim().to_owned();
    let file = args.target.read()?;
    let suite = Suite::new(&file.addresses)?;
    let operator = simulate::operator(&suite, &file)?;
    let request_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{signature}{text}").as_bytes()).to_string();
    let mut calendar = suite.calendar();
    let said = match content.paper() {
        Paper::Notice => {
            let request = ImportNoticeRequest { request_id, notice: text, signature };
            let request = operator.request(request).await?;
            let answer = calendar.import_notice(request).await.context("the notice was not taken")?;
            let year = answer.into_inner().year.context("an answer without the year")?;
            if args.json { year_as_json(&year).to_string() } else { told(&year) }
        }
        Paper::Hours => {
            let request = ImportWorkingHoursRequest { request_id, order: text, signature };
            let request = operator.request(request).await?;
            let answer = calendar.import_working_hours(request).await.context("the order was not taken")?;
            let hours = answer.into_inner().hours.context("an answer without the hours")?;
            if args.json { hours_as_json(&hours).to_string() } else { told_hours(&hours) }
        }
    };
    out::say!("{said}")?;
    Ok(ExitCode::SUCCESS)
}

/// The public key of a folder's key file; the pair is made when it is missing.
///
/// # Errors
/// When the file cannot be read or made.
pub fn load_or_create(path: &Path) -> Result<TrustedKey> {
    if !path.exists() {
        return new_key(path);
    }
    let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = NoticeKey::from_pem(&pem).with_context(|| {
        format!(
            "{} is not whole: put your copy of it back, or remove it, so that the next start makes another; what was signed \
             with it and not imported yet has to be signed again",
            path.display()
        )
    })?;
    Ok(key.public())
}

fn new_key(path: &Path) -> Result<TrustedKey> {
    let key = NoticeKey::from_seed(&rand::random());
    let made = files::create(path, key.to_pem()?.as_bytes(), files::PRIVATE);
    let made = made.with_context(|| format!("cannot make the key file {}", path.display()))?;
    ensure!(made, "{} is there already, and a key is never written over", path.display());
    Ok(key.public())
}

/// What a file says.
enum Content {
    Notice(Notice),
    Order(HoursOrder),
}

impl Content {
    /// An order names its unit, a notice its year.
    fn of(text: &str) -> Result<Self> {
        let names_unit = toml::from_str::<toml::Table>(text).is_ok_and(|file| file.contains_key("unit"));
        if names_unit {
            HoursOrder::from_toml(text).map(Self::Order).context("is no order")
        } else {
            Notice::from_toml(text).map(Self::Notice).context("is no notice")
        }
    }

    const fn paper(&self) -> Paper {
        match self {
            Self::Notice(_) => Paper::Notice,
            Self::Order(_) => Paper::Hours,
        }
    }

    fn summary(&self) -> Result<String> {
        match self {
            Self::Notice(notice) => {
                let (off, worked, work_days) = days(notice)?;
                let (year, version) = (notice.year.title_year, notice.version);
                Ok(format!(
                    "{year} version {version}: {off} 休 off, {worked} 班 worked by name, {work_days} 工作日 \
                     working days"
                ))
            }
            Self::Order(order) => Ok(format!(
                "{} version {}: {} 时段 seasons, {} 停办 closures ({})",
                order.unit,
                order.version,
                order.seasons.len(),
                order.closures.len(),
                order.authority_ref
            )),
        }
    }

    fn as_json(&self) -> Result<Value> {
        match self {
            Self::Notice(notice) => {
                let (off, worked, work_days) = days(notice)?;
                Ok(json!({
                    "year": notice.year.title_year,
                    "version": notice.version,
                    "off": off,
                    "worked": worked,
                    "work_days": work_days,
                }))
            }
            Self::Order(order) => Ok(json!({
                "unit": order.unit,
                "version": order.version,
                "seasons": order.seasons.len(),
                "closures": order.closures.len(),
                "authority_ref": order.authority_ref,
            })),
        }
    }
}

/// Days that a notice takes off and works by name, and the working days of its year.
fn days(notice: &Notice) -> Result<(usize, usize, usize)> {
    let named = notice.days();
    let off = named.iter().filter(|(_, works)| !works).count();
    let calendar = Calendar::builtin().amended(&notice.year)?;
    Ok((off, named.len() - off, calendar.work_days_in_year(notice.year.title_year)))
}

fn read(path: &Path) -> Result<(String, Content)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let content = Content::of(&text).with_context(|| path.display().to_string())?;
    Ok((text, content))
}

/// `FILE.toml.sig`.
fn signature_path(file: &Path) -> PathBuf {
    let mut name: OsString = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

fn told(year: &CalendarYear) -> String {
    format!(
        "{} 第 {} 版 version {} in force: {} 工作日 working days, {} 休 off, {} 调休 make-up (calendar {})",
        year.year,
        year.notice_version,
        year.notice_version,
        year.work_days,
        year.off_days.len(),
        year.make_up_days.len(),
        year.calendar_version
    )
}

fn year_as_json(year: &CalendarYear) -> Value {
    json!({
        "year": year.year,
        "notice_version": year.notice_version,
        "calendar_version": year.calendar_version,
        "shipped_version": year.shipped_version,
        "work_days": year.work_days,
        "off_days": year.off_days,
        "make_up_days": year.make_up_days,
    })
}

fn hours_as_json(hours: &WorkingHours) -> Value {
    let season = |season: &WorkingSeason| json!({ "from": season.starts_on, "spans": season.spans });
    let closure = |closed: &UnitClosure| json!({ "code": closed.closure_code, "from": closed.starts_on, "to": closed.ends_on });
    json!({
        "order_version": hours.order_version,
        "calendar_version": hours.calendar_version,
        "seasons": hours.seasons.iter().map(season).collect::<Vec<_>>(),
        "closures": hours.closures.iter().map(closure).collect::<Vec<_>>(),
    })
}

fn told_hours(hours: &WorkingHours) -> String {
    let seasons =
        hours.seasons.iter().map(|season| format!("{} {}", season.starts_on, season.spans.join(" ")));
    let closures = hours.closures.iter();
    let closures =
        closures.map(|closed| format!("{}–{} {}", closed.starts_on, closed.ends_on, closed.authority_ref));
    let mut text = format!(
        "第 {} 号令 order {} in force (calendar {})",
        hours.order_version, hours.order_version, hours.calendar_version
    );
    seasons.for_each(|season| text += &format!("\n工作时间 hours {season}"));
    closures.for_each(|closure| text += &format!("\n停办 closed {closure}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: &str = "title_year = 2027\nversion = 1\npapers = [\"https://www.gov.cn/2027\"]\n[[holiday]]\n\
                          name = \"元旦\"\noff = [\"2027-01-01/2027-01-03\"]\n";

    #[test]
    fn an_order_is_known_by_its_unit_and_signed_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let (key, file) = (dir.path().join("calendar.pem"), dir.path().join("street.toml"));
        let order = "unit = \"420103005\"\nversion = 1\nauthority_ref = \"江防指〔2026〕3号\"\n[[closure]]\n\
                     code = \"flood\"\nfrom = \"2026-07-09\"\nto = \"2026-07-10\"\n";
        let public = load_or_create(&key).unwrap();
        std::fs::write(&file, order).unwrap();
        sign(&SignArgs { file: file.clone(), key: key.clone(), json: false }).unwrap();
        let signature = std::fs::read_to_string(dir.path().join("street.toml.sig")).unwrap();
        assert_eq!(public.verify_as(Paper::Hours, order, &signature), Ok(()));
        assert!(public.verify(order, &signature).is_err(), "no notice");
        std::fs::write(&file, order.replace("2026-07-10", "2026-07-01")).unwrap();
        let error = sign(&SignArgs { file, key, json: false }).unwrap_err();
        assert!(format!("{error:#}").contains("order.closure[0].to"), "{error:#}");
    }

    #[test]
    fn a_notice_is_signed_by_the_key_that_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let (key, file) = (dir.path().join("calendar.pem"), dir.path().join("2027.toml"));
        let public = load_or_create(&key).unwrap();
        assert_eq!(load_or_create(&key).unwrap(), public, "made once");
        assert!(new_key(&key).is_err(), "a key is never written over");
        let half = dir.path().join("half.pem");
        std::fs::write(&half, "").unwrap();
        let error = format!("{:#}", load_or_create(&half).unwrap_err());
        assert!(error.contains("remove it, so that the next start makes another"), "{error}");
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&key).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, NOTICE).unwrap();
        sign(&SignArgs { file: file.clone(), key: key.clone(), json: false }).unwrap();
        let signature = std::fs::read_to_string(dir.path().join("2027.toml.sig")).unwrap();
        assert_eq!(public.verify(NOTICE, &signature), Ok(()));
        std::fs::write(&file, NOTICE.replace("2027-01-03", "2027-02-30")).unwrap();
        let error = sign(&SignArgs { file: file.clone(), key: key.clone(), json: false }).unwrap_err();
        assert!(format!("{error:#}").contains("notice.holiday[0].off[0]"), "{error:#}");
        std::fs::write(&file, NOTICE).unwrap();
        let error = sign(&SignArgs { file: file.clone(), key: file, json: true }).unwrap_err();
        assert!(format!("{error:#}").starts_with("--key"), "{error:#}");
    }
}
