//! Counts what runs with the calendar in force, in batches, whenever that has changed: by an imported notice, an order about
//! working hours, a unit that came under others, or a release with other facts. Cases with their clocks, supervision, notices and
//! papers come first, then the days of mediations and the review days of benefits. Each says itself how far that is: it stands
//! with the version that it was counted with, so that a pass may be interrupted, repeated, and run on several replicas.
//!
//! Before that it brings open cases to where their units went, whenever the tree of units has changed: a case whose place is
//! written down as it lies now is passed over.

use std::{sync::Arc, time::Duration};

use chassis::{
    Result,
    auth::Caller,
    clock::new_id,
    command::{AggregateStore, Change},
    db::{Db, Tx},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    atlas::Atlas,
    benefit_events::review_moved,
    domain::{Act, Case, CaseId, Decision, Mediation, Party, UnitId, review_day},
    lull::Lull,
    store::{
        agenda, benefit_days,
        case_store::CaseStore,
        mediations::{self, DocketStore},
        places,
    },
    verb::{act, decided},
};

/// As many in one transaction.
const BATCH: i64 = 100;
/// How often it is looked for what a replica with an older calendar has touched since.
const AGAIN: Duration = Duration::from_secs(60);
/// As many passes look for places in units that went elsewhere: the last one a minute or more after the units had changed, when
/// no replica knows the former ones.
const LOOKS: u32 = 3;

/// Brings everything up to the calendar.
#[derive(Clone)]
pub struct Recounter {
    db: Db,
    atlas: Arc<Atlas>,
    by: Caller,
    /// Real time between looks at the version.
    pause: Duration,
}

/// What a pass goes over, one kind after the other, each by the ids of cases.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Open cases, to where their units are; what runs of them is counted by the hours there.
    Places,
    Cases,
    /// By their cases, which hold them.
    Mediations,
    /// Each by the application that began it.
    Benefits,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Places, Self::Cases, Self::Mediations, Self::Benefits];

    const fn name(self) -> &'static str {
        match self {
            Self::Places => "places",
            Self::Cases => "cases",
            Self::Mediations => "mediations",
            Self::Benefits => "benefits",
        }
    }
}

impl Recounter {
    /// Over the service's database.
    pub fn new(db: Db, atlas: Arc<Atlas>, service: &str, pause: Duration) -> Self {
        Self { db, atlas, by: Caller::system(service), pause }
    }

    /// Works until `stop`, each time after the version has been the same for some looks. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let mut again = tokio::time::interval(AGAIN);
        let mut done = None;
        // Several moves of units in a row are one pass.
        let mut lull = Lull::default();
        let (mut units, mut looks) = (None, 0);
        loop {
            let wanted = self.atlas.to_follow();
            let calm = lull.is_over(wanted, Instant::now());
            if calm && done != Some(wanted) {
                if units.replace(wanted.1) != Some(wanted.1) {
                    looks = 0;
                }
                match self.pass(looks < LOOKS, &stop).await {
                    Ok(()) => {
                        done = Some(wanted);
                        looks = LOOKS.min(looks + 1);
                    }
                    Err(error) => tracing::warn!(error = %error.chain(), "the recount was interrupted"),
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.pause) => {}
                _ = again.tick() => done = None,
            }
        }
    }

    /// Everything that is behind; of the places only if asked to.
    async fn pass(&self, places: bool, stop: &CancellationToken) -> Result<()> {
        let left = if places { self.left_units().await? } else { Vec::new() };
        for kind in Kind::ALL {
            self.pass_over(kind, &left, stop).await?;
        }
        Ok(())
    }

    /// The units that went elsewhere while open cases lie in them.
    async fn left_units(&self) -> Result<Vec<UnitId>> {
        let world = self.atlas.world();
        let mut conn = self.db.conn().await?;
        let places = places::of_open_cases(&mut conn).await?.into_iter();
        let left = places.filter(|(unit, path)| world.routes.goes_on_at(*unit, path).is_some());
        let mut units: Vec<UnitId> = left.map(|(unit, _)| unit).collect();
        units.sort_unstable();
        units.dedup();
        Ok(units)
    }

    /// What is behind of a kind, by id.
    async fn pass_over(&self, kind: Kind, left: &[UnitId], stop: &CancellationToken) -> Result<()> {
        let mut after = CaseId(uuid::Uuid::nil());
        let mut counted = 0;
        while !stop.is_cancelled() {
            let behind = self.behind(kind, left, after).await?;
            let Some(last) = behind.last() else { break };
            after = *last;
            counted += self.recount(kind, &behind).await?;
        }
        if counted > 0 {
            tracing::info!(counted, what = kind.name(), "what was behind follows the calendar and the units");
        }
        Ok(())
    }

    async fn behind(&self, kind: Kind, left: &[UnitId], after: CaseId) -> Result<Vec<CaseId>> {
        let version = self.atlas.calendar_version();
        let mut conn = self.db.conn().await?;
        match kind {
            Kind::Places => places::open_cases_at(&mut conn, left, after, BATCH).await,
            Kind::Cases => agenda::behind(&mut conn, version, after, BATCH).await,
            Kind::Mediations => mediations::behind(&mut conn, version, after, BATCH).await,
            Kind::Benefits => benefit_days::behind(&mut conn, version, after, BATCH).await,
        }
    }

    /// These in one transaction; one by one when that fails, so that one keeps no other back.
    async fn recount(&self, kind: Kind, ids: &[CaseId]) -> Result<usize> {
        match self.together(kind, ids).await {
            Err(error) if !error.retryable() && ids.len() > 1 => {
                let what = kind.name();
                tracing::warn!(error = %error.chain(), what, "they are counted one by one");
                let mut counted = 0;
                for id in ids {
                    match self.together(kind, std::slice::from_ref(id)).await {
                        Ok(one) => counted += one,
                        Err(error) if error.retryable() => return Err(error),
                        Err(error) => {
                            tracing::error!(%id, what, error = %error.chain(), "it cannot be counted");
                        }
                    }
                }
                Ok(counted)
            }
            outcome => outcome,
        }
    }

    async fn together(&self, kind: Kind, ids: &[CaseId]) -> Result<usize> {
        match kind {
            Kind::Places => self.cases(ids, Case::follow_units).await,
            Kind::Cases => self.cases(ids, Case::follow_calendar).await,
            Kind::Mediations => self.mediations(ids).await,
            Kind::Benefits => self.benefits(ids).await,
        }
    }

    async fn cases(&self, ids: &[CaseId], follow: fn(Case, &Act<'_>) -> Option<Decision>) -> Result<usize> {
        let world = self.atlas.world();
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let before = CaseStore::default().load(tx.conn, ids).await?;
                let mut changes = Vec::with_capacity(before.len());
                for id in ids {
                    let Some(record) = before.get(id) else { continue };
                    let act = act(&world, new_id(), Party::system(), tx.now);
                    let Some(decision) = follow(Case::clone(&record.case), &act) else { continue };
                    let next = decided(Some(record), decision, &self.by);
                    for emit in next.events {
                        tx.emit(emit);
                    }
                    changes.push(Change { before: Some(record.clone()), after: next.aggregate, trace: None });
                }
                let counted = changes.len();
                CaseStore::default().save_in(tx, changes).await?;
                Ok(counted)
            })
            .await
    }

    /// Those of these cases.
    async fn mediations(&self, ids: &[CaseId]) -> Result<usize> {
        let world = self.atlas.world();
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let mut dockets = AggregateStore::load(&DocketStore, tx.conn, ids).await?;
                let mut changes = Vec::with_capacity(dockets.len());
                for id in ids {
                    let Some(before) = dockets.remove(id) else { continue };
                    let step = |mediation: Mediation, act: &Act<'_>| mediation.follow_calendar(act);
                    let Some((after, told)) = before.moved_on(&world, &self.by, tx.now, step)? else {
                        continue;
                    };
                    told.into_iter().for_each(|emit| tx.emit(emit));
                    tx.changed(id.0);
                    changes.push(Change { before: Some(before), after, trace: None });
                }
                let counted = changes.len();
                DocketStore.save(tx.conn, changes).await?;
                Ok(counted)
            })
            .await
    }

    /// By the hours of the place where the case is that each rests on, or of what that was merged into since.
    async fn benefits(&self, ids: &[CaseId]) -> Result<usize> {
        let world = self.atlas.world();
        let version = world.rules.calendar.version_with(&world.rules.profile);
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let mut waiting = benefit_days::take_behind(tx.conn, version, ids).await?;
                for benefit in &mut waiting {
                    let unit = world.routes.unit(world.routes.present(UnitId(benefit.place_unit_id)));
                    let rules = world.rules.at(unit.map_or(&[][..], |unit| &unit.path));
                    let before = benefit.review_at;
                    benefit.review_at = review_day(before, rules);
                    if benefit.review_at > before {
                        benefit.version += 1;
                        tx.emit(review_moved(benefit, before, version));
                    }
                }
                benefit_days::counted(tx.conn, version, &waiting).await?;
                Ok(waiting.len())
            })
            .await
    }
}
