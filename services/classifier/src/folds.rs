//! Folds for held-out figures. Records with the same subject are always in the same fold: a message sent twice would
//! otherwise be learnt from and asked about.

use std::collections::BTreeMap;

use crate::{Record, text};

/// The fold of each record, below `count`: labels spread evenly, duplicated subjects together. Depends on the
/// records' texts and the seed, not on their order.
pub fn folds(records: &[Record], count: usize, seed: u64) -> Vec<usize> {
    let keys: Vec<String> = records.iter().map(|record| text::group_key(&record.subject)).collect();
    let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, record) in keys.iter().zip(records) {
        let label = labels.entry(key).or_insert(&record.label);
        *label = (*label).min(&record.label);
    }
    let mut groups: Vec<(&str, u64, &str)> =
        labels.iter().map(|(key, label)| (*label, text::stable_hash(seed, key), *key)).collect();
    groups.sort_unstable();
    let dealt: BTreeMap<&str, usize> =
        groups.iter().enumerate().map(|(place, group)| (group.2, place % count.max(1))).collect();
    keys.iter().map(|key| dealt[key.as_str()]).collect()
}
