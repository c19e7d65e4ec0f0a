//! Review days of lasting benefits: on each a re-check begins, exactly one, as a case of its own that nobody applied for. One at
//! a time, for what it is made of is read before anything is locked; the longest due comes first, what another replica works on
//! is passed over, and one whose re-check cannot begin is put off itself, so that it keeps no other waiting. Runs on domain time
//! and wakes when it jumps.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{AggregateStore, Change},
    db::Tx,
    event::Emit,
};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::{
    atlas::World,
    benefit_events::review_moved,
    domain::{
        Application, BeginRecheck, BenefitRule, Case, CaseId, Channel, OrgId, OrgKind, Origin, Party,
        Recheck, RegisterCase, UnitId, Urgency, review_day,
    },
    filing::recorded,
    rpc::{Desk, TEXT},
    store::{
        applications::{ApplicationRecord, ApplicationStore},
        benefit_days::{self, Waiting},
        benefits::{self, Benefit},
        read,
    },
    sweep::{self, Sweep, Timers},
    verb::{act, refused},
};

/// How long one whose re-check cannot begin is put off.
const PUT_OFF: TimeDelta = TimeDelta::hours(1);

/// Begins re-checks.
#[derive(Clone)]
pub struct BenefitSweeper {
    desk: Desk,
    store: ApplicationStore,
    by: Caller,
    /// Real time between looks.
    pause: Duration,
}

/// The application that a benefit rests on.
struct Basis {
    case: Arc<Case>,
    /// By which it goes on, where it is a re-check itself.
    rule: Option<BenefitRule>,
    authorisation_ref: Option<String>,
}

impl Sweep for BenefitSweeper {
    const WHAT: &'static str = "benefits";

    async fn sweep(&self, stop: &CancellationToken) -> Result<()> {
        sweep::timers(self, stop).await
    }
}

impl Timers for BenefitSweeper {
    type Id = CaseId;

    /// One, however many are asked for.
    async fn batch(&self, _most: i64, taken: &OnceLock<CaseId>) -> Result<usize> {
        let due = {
            let mut conn = self.desk.db.conn().await?;
            benefits::longest_due(&mut conn, self.desk.clock.now()).await?
        };
        let Some((benefit, basis)) = due else { return Ok(0) };
        taken.set(benefit).ok();
        self.begin(benefit, basis).await?;
        Ok(1)
    }

    async fn put_off(&self, id: CaseId) -> Result<()> {
        self.desk
            .db
            .transaction(async |tx: &mut Tx<'_>| {
                benefits::put_off(tx.conn, id, tx.now, tx.now + PUT_OFF).await
            })
            .await
    }
}

impl BenefitSweeper {
    /// At this desk.
    pub fn new(desk: Desk, service: &str, pause: Duration) -> Self {
        let store = ApplicationStore::new(desk.crypto.clone());
        Self { desk, store, by: Caller::system(service), pause }
    }

    /// Sweeps until `stop`. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        sweep::until(&self, &self.desk.clock, self.pause, &stop).await
    }

    /// Begins the re-check of a benefit that rests on this application, unless another was quicker. What it is made from and its
    /// number are read beforehand, for neither changes meanwhile, and nothing is waited for under the lock.
    async fn begin(&self, benefit: CaseId, basis: CaseId) -> Result<()> {
        let world = self.desk.atlas.world();
        let basis = self.basis(basis).await?;
        let case_no = self.desk.case_no(&world, place(&world, &basis.case).0).await?;
        self.desk
            .db
            .transaction(async |tx: &mut Tx<'_>| {
                let Some(due) = benefits::take_due(tx.conn, benefit, tx.now).await? else { return Ok(()) };
                if due.case_id != basis.case.id.0 {
                    return Ok(()); // it was renewed between the look and the lock
                }
                if let Some((version, moved)) = moved(&world, &due, &basis.case) {
                    tx.emit(review_moved(&moved, due.review_at, version));
                    return benefit_days::counted(tx.conn, version, &[moved]).await;
                }
                let (record, events) = self.recheck(&world, &due, &basis, case_no, tx.now)?;
                let recheck = record.application.id;
                for emit in events {
                    tx.emit(emit);
                }
                let change = Change { before: None, after: record, trace: None };
                self.store.save(tx.conn, vec![change]).await?;
                benefits::begin_recheck(tx.conn, &due, recheck, tx.now).await
            })
            .await
    }

    async fn basis(&self, id: CaseId) -> Result<Basis> {
        let mut conn = self.desk.db.conn().await?;
        let missing = || Error::not_found("application", id.to_string());
        let case = read::case(&mut conn, id).await?.ok_or_else(missing)?.case;
        let papers = self.store.read(&conn, id).await?.ok_or_else(missing)?;
        let rule = papers.recheck.map(|recheck| recheck.rule);
        Ok(Basis { case, rule, authorisation_ref: papers.authorisation_ref })
    }

    /// The new application, and what is told of it.
    fn recheck(
        &self,
        world: &World,
        due: &Benefit,
        basis: &Basis,
        case_no: String,
        now: Timestamp,
    ) -> Result<(ApplicationRecord, Vec<Emit>)> {
        let (case, id) = (&basis.case, CaseId(new_id()));
        let item =
            case.item.clone().ok_or_else(|| Error::internal(format!("case {} has no item", case.id)))?;
        let (name, _) = world.names_of(Some(&item));
        let text = format!("{name}：到期复核");
        let register = RegisterCase {
            case_id: id,
            case_no,
            channel: Channel::Worker,
            origin: Origin::TopDown,
            nature: case.nature,
            item_code: Some(item.code.clone()),
            // What was urgent when it was applied for is not any more.
            urgency: Urgency::Normal,
            anonymous: false,
            vulnerable: case.vulnerable,
            requester: case.requester.clone(),
            place_unit: place(world, case),
            grid: None,
            point: None,
            receiver: receiver(world, case, now)?,
            text_redacted: text.clone(),
            text_ref: Some(id.0),
            complained_of: None,
            society_agreed: false,
        };
        let rule = BenefitRule { tag_code: due.tag_code.clone(), review_months: months(world, basis, now)? };
        let recheck = Recheck {
            benefit: CaseId(due.benefit_id),
            rule,
            review_at: due.review_at,
            version: due.version + 1,
        };
        let authorisation_ref = basis.authorisation_ref.clone();
        let command = BeginRecheck { register, item, recheck, authorisation_ref };
        let act = act(world, new_id(), Party::system(), now);
        let filed = Application::recheck(command, &act).map_err(|error| refused(id, error))?;
        let decision = recorded(None, filed, &self.by);
        let mut record = decision.aggregate;
        record.case.pending.sealed_text = Some(self.desk.crypto.seal(TEXT, text.as_bytes(), id.0.as_bytes()));
        Ok((record, decision.events))
    }
}

/// Where the re-check is: at the place of the application, or of what that was merged into since.
fn place(world: &World, case: &Case) -> UnitId {
    world.routes.present(case.place.unit)
}

/// The benefit where its review day has become a rest day and no pass has counted it yet, with the version of the calendar by
/// which it comes later: its re-check does not begin before.
fn moved(world: &World, due: &Benefit, case: &Case) -> Option<(u32, Waiting)> {
    let version = world.rules.calendar.version_with(&world.rules.profile);
    if u32::try_from(due.calendar_version).is_ok_and(|counted| counted >= version) {
        return None;
    }
    let unit = world.routes.unit(place(world, case));
    let review_at = review_day(due.review_at, world.rules.at(unit.map_or(&[][..], |unit| &unit.path)));
    let waiting = Waiting {
        benefit_id: due.benefit_id,
        tag_code: due.tag_code.clone(),
        review_at,
        version: due.version + 1,
        place_unit_id: case.place.unit.0,
        line: case.item.as_ref().and_then(|item| item.line.clone()),
    };
    (review_at > due.review_at).then_some((version, waiting))
}

/// Who receives the re-check: the window that received the application, or where that is none any more, the nearest one.
fn receiver(world: &World, case: &Case, now: Timestamp) -> Result<OrgId> {
    let window =
        |kind: OrgKind| matches!(kind, OrgKind::ServiceStation | OrgKind::StreetOffice | OrgKind::Government);
    let before = world.routes.org(case.first_receiver).filter(|org| org.in_force(now) && window(org.kind));
    let path = world.routes.unit(place(world, case)).map_or(&case.place.path[..], |unit| &unit.path);
    let found = before.map(|org| org.id).or_else(|| world.routes.window_above(path, now));
    found.ok_or_else(|| Error::internal(format!("nobody receives the re-check of case {}", case.id)))
}

/// After how many months it is looked at again: by the item as it is now, else as it was when it was granted, else as the last
/// re-check had it, which may be of a version that tags nobody.
fn months(world: &World, basis: &Basis, now: Timestamp) -> Result<u16> {
    let item = basis.case.item.as_ref();
    let present = item.and_then(|item| world.routes.item(&item.code, now));
    let granted = item.and_then(|item| world.routes.item_version(&item.code, item.version));
    let lasting = present.into_iter().chain(granted).find_map(|item| item.benefit.as_ref());
    let found = lasting.or(basis.rule.as_ref()).map(|rule| rule.review_months);
    found.ok_or_else(|| Error::internal(format!("case {} granted nothing that lasts", basis.case.id)))
}
