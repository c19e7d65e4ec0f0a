//! `jianghan calendar key`, `sign` and `import`: the way of a yearly notice from its file into a running suite. Signing
//! needs no network: the private key stays with whoever answers for the calendar, the services know the public half.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use calendar::{Calendar, Notice};
use case_routing::notice::{NoticeKey, TrustedKey};
use clap::Args as ClapArgs;
use proto::case_routing::v1::{CalendarYear, ImportNoticeRequest};
use uuid::Uuid;

use crate::{commands::Target, simulate, suite::Suite};

/// Arguments of `calendar key`.
#[derive(ClapArgs)]
pub struct KeyArgs {
    /// Where the private key goes (mode 0600); a file that is there is not touched.
    #[arg(value_name = "KEY.pem")]
    key: PathBuf,
}

/// Arguments of `calendar sign`.
#[derive(ClapArgs)]
pub struct SignArgs {
    /// The notice.
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Private key, as `calendar key` makes it.
    #[arg(long, value_name = "KEY.pem")]
    key: PathBuf,
}

/// Arguments of `calendar import`.
#[derive(ClapArgs)]
pub struct ImportArgs {
    /// The notice; its signature lies beside it in FILE.toml.sig.
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    #[command(flatten)]
    target: Target,
}

/// Makes a key pair and prints the public key.
pub fn key(args: &KeyArgs) -> Result<ExitCode> {
    let key = new_key(&args.key)?;
    println!("{key}");
    eprintln!("the services trust it as JIANGHAN_CALENDAR_KEY; keep {} apart from them", args.key.display());
    Ok(ExitCode::SUCCESS)
}

/// Signs a notice that can be imported, and no other.
pub fn sign(args: &SignArgs) -> Result<ExitCode> {
    let (text, notice) = read(&args.file)?;
    let pem = std::fs::read_to_string(&args.key)
        .with_context(|| format!("--key: cannot read {}", args.key.display()))?;
    let key = NoticeKey::from_pem(&pem).with_context(|| format!("--key: {}", args.key.display()))?;
    let signature = signature_path(&args.file);
    std::fs::write(&signature, key.sign(&text) + "\n")
        .with_context(|| format!("cannot write {}", signature.display()))?;
    let (year, days) = (notice.year.title_year, notice.days());
    let work_days = Calendar::builtin().amended(&notice.year)?.work_days_in_year(year);
    let off = days.iter().filter(|(_, works)| !works).count();
    println!(
        "{year} version {}: {off} 休 off, {} 班 worked by name, {work_days} 工作日 working days",
        notice.version,
        days.len() - off
    );
    println!("签名 signature {}", signature.display());
    Ok(ExitCode::SUCCESS)
}

/// Brings a signed notice to the suite. Given again, the same file answers the same.
pub async fn import(args: ImportArgs) -> Result<ExitCode> {
    let (notice, _) = read(&args.file)?;
    let beside = signature_path(&args.file);
    let signature = std::fs::read_to_string(&beside).with_context(|| {
        format!("cannot read {}; sign it with `jianghan calendar sign`", beside.display())
    })?;
    let signature = signature.trim().to_owned();
    let file = args.target.read()?;
    let suite = Suite::new(&file.addresses)?;
    let operator = simulate::operator(&suite, &file)?;
    let request_id =
        Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{signature}{notice}").as_bytes()).to_string();
    let request = operator.request(ImportNoticeRequest { request_id, notice, signature }).await?;
    let answer = suite.calendar().import_notice(request).await.context("the notice was not taken")?;
    let year = answer.into_inner().year.context("an answer without the year")?;
    println!("{}", told(&year));
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
    let key = NoticeKey::from_pem(&pem).with_context(|| path.display().to_string())?;
    Ok(key.public())
}

fn new_key(path: &Path) -> Result<TrustedKey> {
    let key = NoticeKey::from_seed(&rand::random());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot make the key file {}", path.display()))?;
    file.write_all(key.to_pem()?.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key.public())
}

fn read(path: &Path) -> Result<(String, Notice)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let notice = Notice::from_toml(&text).with_context(|| format!("{} is no notice", path.display()))?;
    Ok((text, notice))
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: &str = "title_year = 2027\nversion = 1\npapers = [\"https://www.gov.cn/2027\"]\n[[holiday]]\n\
                          name = \"元旦\"\noff = [\"2027-01-01/2027-01-03\"]\n";

    #[test]
    fn a_notice_is_signed_by_the_key_that_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let (key, file) = (dir.path().join("calendar.pem"), dir.path().join("2027.toml"));
        let public = load_or_create(&key).unwrap();
        assert_eq!(load_or_create(&key).unwrap(), public, "made once");
        assert!(new_key(&key).is_err(), "a key is never written over");
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&key).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, NOTICE).unwrap();
        sign(&SignArgs { file: file.clone(), key: key.clone() }).unwrap();
        let signature = std::fs::read_to_string(dir.path().join("2027.toml.sig")).unwrap();
        assert_eq!(public.verify(NOTICE, &signature), Ok(()));
        std::fs::write(&file, NOTICE.replace("2027-01-03", "2027-02-30")).unwrap();
        let error = sign(&SignArgs { file: file.clone(), key: key.clone() }).unwrap_err();
        assert!(format!("{error:#}").contains("notice.holiday[0].off[0]"), "{error:#}");
        std::fs::write(&file, NOTICE).unwrap();
        let error = sign(&SignArgs { file: file.clone(), key: file }).unwrap_err();
        assert!(format!("{error:#}").starts_with("--key"), "{error:#}");
    }
}
