//! What `jianghan classify` fetches of what people made of suggestions: the corrections to train with, and how often the model was
//! right. What residents wrote goes into the file asked for and nowhere else.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use case_routing::tables::guarded;
use chrono::{NaiveDate, NaiveTime};
use clap::Args as ClapArgs;
use proto::case_routing::v1::{Correction, GetModelAccuracyRequest, ListCorrectionsRequest, ModelAccuracy};
use serde::Serialize;

use super::{online::Common, print};
use crate::commands::unless_stopped;

#[derive(ClapArgs)]
pub struct CorrectionsArgs {
    /// CSV with the columns subject,detail,label, for `train --corrections`; an older one is replaced once the new one is whole. What a
    /// spreadsheet would take for a formula has an apostrophe in front, which training takes away.
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Only of this version of the model.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    model_version: Option<i32>,
    /// Only what was decided since this day, YYYY-MM-DD.
    #[arg(long, value_name = "DAY")]
    since: Option<NaiveDate>,
    #[command(flatten)]
    common: Common,
}

#[derive(ClapArgs)]
pub struct AccuracyArgs {
    /// Decisions since this day, YYYY-MM-DD; 90 days without it.
    #[arg(long, value_name = "DAY")]
    since: Option<NaiveDate>,
    /// Decisions before this day, YYYY-MM-DD.
    #[arg(long, value_name = "DAY")]
    until: Option<NaiveDate>,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    corrections: u64,
}

/// Writes the corrections; the file appears when it is whole, and not at all when it is stopped.
pub async fn corrections(args: &CorrectionsArgs) -> Result<ExitCode> {
    let corrections = unless_stopped(&args.out, write(args)).await?;
    let done = Exported { file: args.out.clone(), corrections };
    print(args.common.json, &done, || format!("{}: {corrections} corrections\n", done.file.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes them page by page; gives how many.
async fn write(args: &CorrectionsArgs) -> Result<u64> {
    let (suite, session) = args.common.connect("district_dispatcher")?;
    let folder = args.out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let context = || format!("cannot write {}", args.out.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    let mut rows = Rows::new(BufWriter::new(&mut file))?;
    let mut request = ListCorrectionsRequest {
        page_size: 500,
        model_version: args.model_version.unwrap_or_default(),
        since_time: args.since.map(midnight),
        ..Default::default()
    };
    loop {
        let page =
            suite.classifier().list_corrections(session.request(request.clone()).await?).await?.into_inner();
        page.corrections.iter().try_for_each(|one| rows.write(one))?;
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let corrections = rows.finish()?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(&args.out).with_context(context)?;
    Ok(corrections)
}

/// Labelled records as CSV.
struct Rows<W: Write> {
    out: csv::Writer<W>,
    written: u64,
}

impl<W: Write> Rows<W> {
    fn new(out: W) -> Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(["subject", "detail", "label"])?;
        Ok(Self { out, written: 0 })
    }

    /// A text that is gone teaches nothing.
    fn write(&mut self, one: &Correction) -> Result<()> {
        if !one.subject.is_empty() {
            for cell in [&one.subject, &one.detail, &one.label] {
                self.out.write_field(guarded(cell).as_bytes())?;
            }
            self.out.write_record(None::<&[u8]>)?;
            self.written += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        self.out.flush()?;
        Ok(self.written)
    }
}

fn midnight(day: NaiveDate) -> prost_types::Timestamp {
    chassis::clock::to_proto(calendar::instant(day, NaiveTime::MIN))
}

#[derive(Serialize)]
struct Accuracy {
    model_version: i32,
    decided: i64,
    first_right: i64,
    in_first_three: i64,
    accuracy: Option<f64>,
    top_three_accuracy: Option<f64>,
    automatic: i64,
    automatic_corrected: i64,
    automatic_corrected_share: Option<f64>,
    small_sample: bool,
}

impl Accuracy {
    fn of(one: &ModelAccuracy) -> Self {
        Self {
            model_version: one.model_version,
            decided: one.decided,
            first_right: one.first_right,
            in_first_three: one.in_first_three,
            accuracy: one.accuracy,
            top_three_accuracy: one.top_three_accuracy,
            automatic: one.automatic,
            automatic_corrected: one.automatic_corrected,
            automatic_corrected_share: one.automatic_corrected_share,
            small_sample: one.small_sample,
        }
    }

    fn text(&self) -> String {
        let percent =
            |share: Option<f64>| share.map_or("—".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let small = if self.small_sample { "  小样本 small sample" } else { "" };
        format!(
            "model {:>3}: {} decided by humans, first {} ({}), in the first three {} ({}); {} by the machine, {} corrected ({}){small}\n",
            self.model_version,
            self.decided,
            self.first_right,
            percent(self.accuracy),
            self.in_first_three,
            percent(self.top_three_accuracy),
            self.automatic,
            self.automatic_corrected,
            percent(self.automatic_corrected_share),
        )
    }
}

/// What the versions suggested beside what humans chose.
pub async fn accuracy(args: &AccuracyArgs) -> Result<ExitCode> {
    let (suite, session) = args.common.connect("district_dispatcher")?;
    let request = GetModelAccuracyRequest {
        since_time: args.since.map(midnight),
        until_time: args.until.map(midnight),
    };
    let answer = suite.classifier().get_model_accuracy(session.request(request).await?).await?.into_inner();
    let versions: Vec<Accuracy> = answer.versions.iter().map(Accuracy::of).collect();
    print(args.common.json, &versions, || match versions.as_slice() {
        [] => "nothing was decided beside a suggestion\n".to_owned(),
        versions => versions.iter().map(Accuracy::text).collect(),
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::classify::table;

    fn correction(subject: &str, detail: &str, label: &str) -> Correction {
        Correction {
            subject: subject.into(),
            detail: detail.into(),
            label: label.into(),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_exported_is_what_training_reads() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        let mut rows = Rows::new(&mut file).expect("a header");
        for one in [
            correction("路灯,\"不亮\"", "三天了\n请修", "CJ-0108"),
            correction("", "", "CJ-0108"),
            correction("楼道堆物", "", "CJ-0142"),
        ] {
            rows.write(&one).expect("written");
        }
        assert_eq!(rows.finish().expect("whole"), 2);
        let read = table::read(file.path(), None, true).expect("read");
        assert_eq!((read[0].subject.as_str(), read[0].detail.as_str()), ("路灯,\"不亮\"", "三天了\n请修"));
        assert_eq!((read[1].subject.as_str(), read[1].label.as_str()), ("楼道堆物", "CJ-0142"));
    }

    #[test]
    fn what_a_resident_wrote_is_no_formula_in_a_spreadsheet() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        let mut rows = Rows::new(&mut file).expect("a header");
        rows.write(&correction("=1+1", "\t@SUM(A1)", "CJ-0108")).expect("written");
        rows.write(&correction("'=1", "-2", "CJ-0108")).expect("written");
        assert_eq!(rows.finish().expect("whole"), 2);
        let text = std::fs::read_to_string(file.path()).expect("text");
        assert_eq!(text, "subject,detail,label\n'=1+1,'\t@SUM(A1),CJ-0108\n''=1,'-2,CJ-0108\n");
        let read = table::read(file.path(), None, true).expect("read");
        assert_eq!((read[0].subject.as_str(), read[0].detail.as_str()), ("=1+1", "@SUM(A1)"));
        assert_eq!((read[1].subject.as_str(), read[1].detail.as_str()), ("'=1", "-2"));
    }

    #[test]
    fn a_share_of_nothing_is_a_dash() {
        let text =
            Accuracy::of(&ModelAccuracy { model_version: 2, small_sample: true, ..Default::default() })
                .text();
        assert!(text.contains("first 0 (—)") && text.contains("小样本"), "{text}");
    }
}
