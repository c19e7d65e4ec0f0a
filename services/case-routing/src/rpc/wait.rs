//! Waiting for a case to change. Whoever waits is woken by the commit where this process makes it; what another replica commits is
//! looked for from time to time, by the version alone. Most who wait know the case as it is at hand, and are answered by the next
//! commit without a look at the database.

use std::{sync::Arc, time::Duration};

use chassis::{Error, Result, auth::Caller, db::Following, proto::case_routing::v1 as pb, update};
use tokio::time::Instant;

use super::{desk::Desk, parse};
use crate::{
    domain::{Case, CaseId},
    reach,
    record::CaseRecord,
    store::{at_hand::Held, read},
};

/// How often it is looked for what another replica has changed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a wait goes on from the case at hand before that is looked for the first time.
const FIRST_LOOK: Duration = Duration::from_millis(200);
/// The longest wait that may be asked for, and the usual one, in seconds.
const LONGEST: i32 = 60;

/// What a call waits for.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// The case.
    pub id: CaseId,
    /// The version that is known; 0: none.
    pub known: i64,
    /// How long at most.
    pub longest: Duration,
}

impl TryFrom<&pb::WaitCaseRequest> for Wait {
    type Error = Error;

    fn try_from(request: &pb::WaitCaseRequest) -> Result<Self> {
        Ok(Self {
            id: parse::id("case_id", &request.case_id)?,
            known: update::version("after_etag", &request.after_etag)?.unwrap_or(0),
            longest: longest("wait_seconds", request.wait_seconds)?,
        })
    }
}

impl Wait {
    /// Whether the wait may begin with a case at hand: it is the version that is known, the caller reaches it, and no other case
    /// has to be followed with it. What another replica made of it meanwhile is seen a little later.
    fn goes_on_from(&self, case: &Case, caller: &Caller) -> bool {
        case.version == self.known && case.merged_into.is_none() && reach::reaches(case, caller)
    }
}

fn longest(field: &str, seconds: i32) -> Result<Duration> {
    let asked = if seconds == 0 { LONGEST } else { seconds };
    let within = u64::try_from(asked).ok().filter(|_| asked <= LONGEST);
    let seconds = within.ok_or_else(|| Error::invalid(field, format!("must be between 1 and {LONGEST}")))?;
    Ok(Duration::from_secs(seconds))
}

/// How a case stands.
enum Latest {
    /// At this version; and whether its original has moved.
    At(i64, bool),
    /// As it is at hand.
    Held(Arc<Held>),
    Gone,
}

/// The case that the one waited for was merged into: what becomes of it is news of that one too, by a version of its own.
struct Original {
    id: CaseId,
    version: Option<i64>,
    news: Following,
}

impl Desk {
    /// The case as soon as its version is above the one that is known, or the case that it was merged into changes; as it is
    /// once the time that was asked for, or that is granted, is over, or the service stops. And whether it has changed.
    ///
    /// # Errors
    /// `NotFound` when it is out of reach, also if it came to be while it was waited for.
    pub async fn changed(
        &self,
        caller: &Caller,
        wait: &Wait,
        granted: Duration,
    ) -> Result<(CaseRecord, bool)> {
        let until = Instant::now() + wait.longest.min(granted);
        // Followed before it is looked at: what is committed in between is told.
        let mut news = self.db.news().follow(wait.id.0);
        if let Some(held) = self.told_at_hand(caller, wait, until, &mut news).await
            && reach::reaches(held.case(), caller)
        {
            return Ok((held.to_show(), true));
        }
        let record = self.find(caller, wait.id).await?;
        if record.case.version > wait.known {
            return Ok((record, true));
        }
        let original = self.followed_original(&record.case).await?;
        let before = self.executor.store().held(wait.id);
        let moved = match self.latest(wait, until, &mut news, before, original).await? {
            Latest::At(version, moved) if version == record.case.version => return Ok((record, moved)),
            // It was committed while it was waited for, so it is no older than the answer may be.
            Latest::Held(held) if reach::reaches(held.case(), caller) => return Ok((held.to_show(), true)),
            Latest::At(_, moved) => moved,
            Latest::Held(_) | Latest::Gone => false,
        };
        let record = self.find(caller, wait.id).await?;
        let changed = moved || record.case.version > wait.known;
        Ok((record, changed))
    }

    /// What this process commits of a case that is known as it is at hand, if it does so before the case has to be looked at.
    async fn told_at_hand(
        &self,
        caller: &Caller,
        wait: &Wait,
        until: Instant,
        news: &mut Following,
    ) -> Option<Arc<Held>> {
        let before = self.executor.store().held(wait.id);
        before.as_ref().filter(|held| wait.goes_on_from(held.case(), caller))?;
        let look = until.min(Instant::now() + FIRST_LOOK);
        let told = tokio::time::timeout_at(look, news.changed()).await;
        if told.is_ok_and(|told| told) { self.news_at_hand(wait, before.as_ref()) } else { None }
    }

    /// The case at hand, if it is above the version that is known. What was at hand when the wait began is no news, whatever its
    /// version: the database may have lost it since.
    fn news_at_hand(&self, wait: &Wait, before: Option<&Arc<Held>>) -> Option<Arc<Held>> {
        let above = |held: &Arc<Held>| held.shown_version().is_some_and(|version| version > wait.known);
        let new = |held: &Arc<Held>| before.is_none_or(|before| !Arc::ptr_eq(before, held));
        self.executor.store().held(wait.id).filter(|held| above(held) && new(held))
    }

    async fn followed_original(&self, case: &Case) -> Result<Option<Original>> {
        let Some(id) = case.merged_into else { return Ok(None) };
        let news = self.db.news().follow(id.0); // before it is looked at, as the case itself
        let mut conn = self.db.conn().await?;
        let version = read::version(&mut conn, id).await?;
        Ok(Some(Original { id, version, news }))
    }

    /// How a case stands as soon as its version is above the one that is known or its original has moved, else when the time is
    /// over.
    async fn latest(
        &self,
        wait: &Wait,
        until: Instant,
        news: &mut Following,
        before: Option<Arc<Held>>,
        mut original: Option<Original>,
    ) -> Result<Latest> {
        loop {
            let look = until.min(Instant::now() + LOOK_AGAIN);
            let told = async {
                match &mut original {
                    Some(original) => tokio::select! {
                        told = news.changed() => told,
                        told = original.news.changed() => told,
                    },
                    None => news.changed().await,
                }
            };
            let over = match tokio::time::timeout_at(look, told).await {
                Ok(told) => !told, // the service stops
                Err(_) => Instant::now() >= until,
            };
            if let Some(held) = self.news_at_hand(wait, before.as_ref()) {
                return Ok(Latest::Held(held));
            }
            let (version, moved) = {
                let mut conn = self.db.conn().await?;
                let version = read::version(&mut conn, wait.id).await?;
                let moved = match &original {
                    Some(original) => read::version(&mut conn, original.id).await? != original.version,
                    None => false,
                };
                (version, moved)
            };
            match version {
                Some(version) if over || moved || version > wait.known => {
                    return Ok(Latest::At(version, moved));
                }
                Some(_) => {}
                None => return Ok(Latest::Gone),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::auth::CallerKind;

    use super::*;
    use crate::domain::tests::world::World;

    #[test]
    fn a_wait_begins_with_the_case_at_hand_only_where_that_is_known_and_within_reach_and_follows_no_other() {
        let case = World::new().completed("stairs");
        let wait = |known| Wait { id: case.id, known, longest: Duration::from_secs(1) };
        let service = Caller::system("test");
        let stranger = Caller { kind: CallerKind::Person, scopes: Vec::new(), ..service.clone() };
        let merged = Case { merged_into: Some(case.id), ..case.clone() };
        let current = wait(case.version);
        assert!(current.goes_on_from(&case, &service));
        assert!(!current.goes_on_from(&case, &stranger), "another version may be within reach");
        assert!(!current.goes_on_from(&merged, &service));
        for known in [0, case.version - 1, case.version + 1] {
            assert!(!wait(known).goes_on_from(&case, &service), "{known}");
        }
    }

    #[test]
    fn a_wait_is_of_one_to_sixty_seconds_and_the_longest_unless_said_otherwise() {
        for (seconds, expected) in [(0, 60), (1, 1), (60, 60)] {
            assert_eq!(longest("wait_seconds", seconds).unwrap(), Duration::from_secs(expected));
        }
        for seconds in [-1, 61, i32::MIN, i32::MAX] {
            let refused = longest("wait_seconds", seconds).unwrap_err();
            assert!(matches!(&refused, Error::Invalid { .. }), "{seconds}: {refused}");
        }
    }
}
