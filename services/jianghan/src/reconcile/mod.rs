//! Compares what case-routing holds with what the other services learnt from its events, what analytics reports with recounts from
//! the cases and from its own facts, and identity's units, organisations and edges with the copy that each other service keeps.
//! Reads the services' `jianghan.ops.v1` only; changes nothing.

mod compare;
mod pages;
mod waiting;

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use anyhow::Result;
use proto::ops::v1::{GetStatisticsRequest, GetStatisticsResponse};

use self::{
    compare::{COPIED, Comparison},
    pages::{Away, Pages},
};
pub use self::{
    compare::{Difference, Failure, Reconciliation},
    waiting::{Waiting, drain, taken_in},
};
use crate::suite::{SERVICES, Session, Suite};

/// What case-routing holds, and another service should.
const fn held(subject: &'static str, by: &'static str) -> Comparison {
    Comparison { subject, expected: ("case-routing", subject), found: (by, subject) }
}

/// Who is compared with whom on what, beside copies.
const COMPARISONS: [Comparison; 12] = [
    held("case", "analytics"),
    held("rollup", "analytics"),
    held("outcome", "analytics"),
    held("state", "analytics"),
    held("due", "analytics"),
    held("open_due", "analytics"),
    held("case_counts", "analytics"),
    held("task_counts", "analytics"),
    held("mediation_counts", "analytics"),
    // Every figure beside what analytics' own facts make of it.
    Comparison { subject: "cell", expected: ("analytics", "cell_recount"), found: ("analytics", "cell") },
    held("task", "staffing"),
    held("offer", "volunteer-matching"),
];

/// Who is compared with whom on what.
fn comparisons() -> impl Iterator<Item = Comparison> {
    let copies = SERVICES.into_iter().filter(|service| *service != "identity").flat_map(|by| {
        COPIED.map(|subject| Comparison { subject, expected: ("identity", subject), found: (by, subject) })
    });
    COMPARISONS.into_iter().chain(copies)
}

/// The figures of every service.
pub async fn statistics(
    suite: &Suite,
    operator: &Session,
) -> Result<BTreeMap<&'static str, GetStatisticsResponse>> {
    let mut all = BTreeMap::new();
    for service in SERVICES {
        all.insert(service, figures(suite, operator, service).await?);
    }
    Ok(all)
}

/// The figures of every service that gives them, and why the others do not.
pub async fn known_statistics(
    suite: &Suite,
    operator: &Session,
) -> (BTreeMap<&'static str, GetStatisticsResponse>, Vec<(&'static str, anyhow::Error)>) {
    let (mut known, mut away) = (BTreeMap::new(), Vec::new());
    for service in SERVICES {
        match figures(suite, operator, service).await {
            Ok(figures) => drop(known.insert(service, figures)),
            Err(error) => away.push((service, error)),
        }
    }
    (known, away)
}

/// The figures of a service.
pub async fn figures(suite: &Suite, operator: &Session, service: &str) -> Result<GetStatisticsResponse> {
    let request = operator.request(GetStatisticsRequest {}).await?;
    Ok(suite.ops(service).get_statistics(request).await?.into_inner())
}

/// Compares the services. The caller drains first, else differences may be events under way. A comparison that cannot be made is
/// told in the outcome, and the others are made all the same; with a service that could not be asked none is tried again.
pub async fn compare_all(suite: &Suite, operator: &Arc<Session>) -> Reconciliation {
    let mut outcome = Reconciliation::default();
    for comparison in comparisons() {
        let both = [comparison.expected.0, comparison.found.0];
        let compared = match both.iter().try_for_each(|service| outcome.worth_asking(service)) {
            Ok(()) => compare(suite, operator, &comparison, &mut outcome).await,
            Err(away) => Err(away),
        };
        match compared {
            Ok(compared) => {
                outcome.compared.insert(comparison.subject, compared);
            }
            Err(error) => {
                outcome.away.extend(error.downcast_ref::<Away>().into_iter().flat_map(|away| away.0.clone()));
                outcome.failures.push(Failure {
                    subject: comparison.subject,
                    service: comparison.found.0,
                    error: format!("{error:#}"),
                });
            }
        }
    }
    outcome
}

/// Compares the services, as [`compare_all`] does.
///
/// # Errors
/// Where a comparison could not be made.
pub async fn reconcile(suite: &Suite, operator: &Arc<Session>) -> Result<Reconciliation> {
    let outcome = compare_all(suite, operator).await;
    outcome.all_made()?;
    Ok(outcome)
}

/// Compares lists in the order of the texts of their keys, of which a page of either is held. Gives how many things were expected.
async fn compare(
    suite: &Suite,
    operator: &Session,
    comparison: &Comparison,
    outcome: &mut Reconciliation,
) -> Result<u64> {
    let mut expected = Pages::of(suite, operator, comparison.expected);
    let mut found = Pages::of(suite, operator, comparison.found);
    let (mut want, mut have) = (expected.advance().await?, found.advance().await?);
    let mut compared = 0;
    loop {
        let order = match (&want, &have) {
            (None, None) => return Ok(compared),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(want), Some(have)) => want.key.cmp(&have.key),
        };
        // Of whoever is behind, the other side knows nothing.
        let left = want.as_ref().filter(|_| order.is_le());
        let right = have.as_ref().filter(|_| order.is_ge());
        if let Some(thing) = left.or(right) {
            let value = left.map(|digest| digest.value.as_str());
            outcome.weigh(comparison, &thing.key, value, right.map(|digest| digest.value.as_str()));
        }
        compared += u64::from(left.is_some());
        if order.is_le() {
            want = expected.advance_from(want.as_ref()).await?;
        }
        if order.is_ge() {
            have = found.advance_from(have.as_ref()).await?;
        }
    }
}

/// Everything a service holds about a subject.
pub async fn digests(
    suite: &Suite,
    operator: &Session,
    service: &str,
    subject: &str,
) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut pages = Pages::of(suite, operator, (service, subject));
    while let Some(digest) = pages.advance().await? {
        all.insert(digest.key, digest.value);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{Account, fake};

    #[tokio::test]
    async fn whoever_is_not_let_in_tries_once_for_all_comparisons() {
        let (suite, door) = fake::refusing(tonic::Status::unauthenticated("no")).await;
        let operator = Session::new(&suite, Account::stranger("it_operator"));
        let (known, away) = known_statistics(&suite, &operator).await;
        assert_eq!((known.len(), away.len()), (0, SERVICES.len()));
        let outcome = compare_all(&suite, &operator).await;
        assert_eq!(outcome.failures.len(), comparisons().count());
        let first = &outcome.failures[0].error;
        assert!(first.contains("`stranger` is refused"), "{first}");
        assert_eq!(door.knocks(), 1);
    }

    #[test]
    fn each_subject_is_compared_with_whoever_learns_of_it_and_none_is_left_out() {
        let made = COMPARISONS.map(|one| (one.subject, one.expected, one.found));
        let held =
            |subject: &'static str, by: &'static str| (subject, ("case-routing", subject), (by, subject));
        let expected = [
            held("case", "analytics"),
            held("rollup", "analytics"),
            held("outcome", "analytics"),
            held("state", "analytics"),
            held("due", "analytics"),
            held("open_due", "analytics"),
            held("case_counts", "analytics"),
            held("task_counts", "analytics"),
            held("mediation_counts", "analytics"),
            ("cell", ("analytics", "cell_recount"), ("analytics", "cell")),
            held("task", "staffing"),
            held("offer", "volunteer-matching"),
        ];
        assert_eq!(made, expected);
        assert_eq!(COPIED, ["unit", "organization", "edge"]);
    }

    #[test]
    fn every_service_but_their_owner_is_compared_on_what_it_keeps_a_copy_of() {
        for subject in COPIED {
            let of: Vec<Comparison> = comparisons().filter(|one| one.subject == subject).collect();
            assert!(of.iter().all(|one| one.expected == ("identity", subject)), "{of:?}");
            let by: Vec<&str> = of.iter().map(|one| one.found.0).collect();
            assert_eq!(by, ["case-routing", "staffing", "volunteer-matching", "analytics"]);
        }
        assert_eq!(comparisons().count(), COMPARISONS.len() + 4 * COPIED.len());
    }
}
