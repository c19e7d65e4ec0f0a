//! Which process a case goes through: the version of the list with that of the catalogue, the limits, and the house rules. The
//! latter two have no numbers, so they are known by a digest; replicas with the same data have the same.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{domain::Rules, seed};

/// Limits and house rules as decisions cite them, such as `sla-1f3a20bc.rules-77c20d4e`. The calendar is none of this: it says
/// which days are worked, not how.
pub fn rules_version(profiles: &[seed::Profile], rules: &Rules) -> Arc<str> {
    let numbers = (
        (&rules.standard, rules.resolve, rules.supervision_answer, rules.warn_percent, rules.ruling),
        (rules.report_in, rules.judge, rules.mediation_talks, rules.mediation_follow_up),
        (&rules.suspension_causes,),
        (rules.partner_share_percent, rules.min_confidence, rules.retention_days),
    );
    format!("sla-{}.rules-{}", digest(&profiles), digest(&numbers)).into()
}

fn digest(data: &impl serde::Serialize) -> String {
    // Plain data with text keys always serialises.
    let json = serde_json::to_vec(data).unwrap_or_default();
    Sha256::digest(json).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_limit_or_rule_is_another_process_and_the_same_ones_are_the_same() {
        let (profiles, rules) = (seed::profiles(), Rules::default());
        let version = rules_version(profiles, &rules);
        assert_eq!(version, rules_version(profiles, &rules.clone()));
        let surer = Rules { min_confidence: 70, ..rules.clone() };
        assert_ne!(version, rules_version(profiles, &surer));
        assert_eq!(version.split('.').next(), rules_version(profiles, &surer).split('.').next());
        assert_ne!(version, rules_version(&profiles[1..], &rules));
    }
}
