//! Versions of the responsibility list as they are told.

use std::process::ExitCode;

use anyhow::Result;
use proto::case_routing::v1::ListVersion;
use serde::Serialize;

use super::Names;
use crate::out;

/// One version.
#[derive(Debug, Serialize)]
pub(super) struct Version {
    version: i32,
    state: String,
    entries: i32,
    /// 0 for the first.
    base: i32,
    /// From when it is in force everywhere; empty for a draft or canary.
    from: String,
    /// Code of the street where it is tried.
    #[serde(skip_serializing_if = "String::is_empty")]
    canary_street: String,
    reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<String>,
}

impl Version {
    /// As it was answered, with what it has otherwise than its base.
    pub(super) fn of(version: &ListVersion, changes: Vec<String>, names: &Names) -> Self {
        let from = version.effective_time.as_ref().and_then(chassis::clock::from_proto);
        let from = from.map(|at| calendar::local(at).format("%Y-%m-%d %H:%M").to_string());
        let street = names.units.get(&version.canary_unit_id).map(|street| street.code.clone());
        Self {
            version: version.list_version,
            state: version.state().as_str_name().trim_start_matches("LIST_STATE_").to_lowercase(),
            entries: version.entry_count,
            base: version.base_version,
            from: from.unwrap_or_default(),
            canary_street: street.unwrap_or_else(|| version.canary_unit_id.clone()),
            reason: version.reason_code.clone(),
            changes,
        }
    }

    /// Prints it alone.
    pub(super) fn print(&self, json: bool) -> Result<ExitCode> {
        if json {
            out::json(self)?;
        } else {
            out::say!("{}", self.text())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self) -> String {
        let Self { version, state, entries, base, from, canary_street, reason, changes } = self;
        let mut text =
            format!("{version:>4}  {state:<10} {entries:>6} entries  base {base:<4} {from:<16}  {reason}");
        if !canary_street.is_empty() {
            text += &format!("  in {canary_street}");
        }
        changes.iter().for_each(|change| text += &format!("\n      {change}"));
        text
    }
}

/// A version that was taken back.
#[derive(Debug, Serialize)]
pub(super) struct RolledBack {
    /// Which is in force everywhere now.
    pub(super) in_force_version: i32,
    /// The one that was.
    pub(super) version: Version,
}

impl RolledBack {
    /// Prints it.
    pub(super) fn print(&self, json: bool) -> Result<ExitCode> {
        if json {
            out::json(self)?;
            return Ok(ExitCode::SUCCESS);
        }
        out::say!("in force everywhere: version {}", self.in_force_version)?;
        self.version.print(json)
    }
}

/// Prints a list of them.
pub(super) fn print(versions: &[Version], json: bool) -> Result<ExitCode> {
    if json {
        out::json(versions)?;
    } else {
        for version in versions {
            out::say!("{}", version.text())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use proto::{case_routing::v1::ListState, identity::v1::Unit};

    use super::*;

    #[test]
    fn a_version_is_told_with_its_street_its_day_and_its_changes() {
        let street = Unit { unit_id: "u-1".into(), code: "420103005".into(), ..Default::default() };
        let names = Names { units: [("u-1".to_owned(), street)].into(), ..Names::default() };
        let canary = ListVersion {
            list_version: 3,
            base_version: 2,
            state: ListState::Canary.into(),
            canary_unit_id: "u-1".into(),
            reason_code: "duty_moved".into(),
            ..Default::default()
        };
        let text = Version::of(&canary, vec!["+ R-1 CJ-0101".into()], &names).text();
        assert!(text.starts_with("   3  canary ") && text.contains("base 2 "), "{text}");
        assert!(text.ends_with("duty_moved  in 420103005\n      + R-1 CJ-0101"), "{text}");
        let scheduled = ListVersion {
            state: ListState::Scheduled.into(),
            effective_time: Some("2026-02-28T16:00:00Z".parse().expect("an instant")),
            ..Default::default()
        };
        let told = Version::of(&scheduled, Vec::new(), &names);
        assert_eq!((told.state.as_str(), told.from.as_str()), ("scheduled", "2026-03-01 00:00"));
        assert!(told.canary_street.is_empty());
    }

    #[test]
    fn what_was_taken_back_is_told_with_what_is_in_force_now() {
        let back = ListVersion {
            list_version: 3,
            base_version: 2,
            state: ListState::Withdrawn.into(),
            ..Default::default()
        };
        let version = Version::of(&back, Vec::new(), &Names::default());
        let told = serde_json::to_value(RolledBack { in_force_version: 2, version }).expect("JSON");
        assert_eq!(told["in_force_version"], 2);
        assert_eq!(told["version"]["version"], 3);
        assert_eq!(told["version"]["base"], 2);
    }
}
