//! Users of the benches who play lifecycles in a closed loop, one after the other.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use chassis::pressure::ATTEMPTS_HEADER;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use proto::case_routing::v1::{
    AssignmentStatus, Case, CaseState, Channel, CompleteCaseRequest, ContactRequesterRequest,
    IntakeCaseRequest, ListCasesRequest, SignTaskRequest, Urgency, WaitCaseRequest,
};
use tonic::{Code, Request, Status, metadata::MetadataValue};

use crate::{
    reconcile,
    simulate::{self, actors::Actors},
    suite::{Rpc, Session, Suite, request_id},
};

/// Streets whose people are seeded: enough organisations to spread over, few enough to sign in quickly.
pub(super) const STREETS: [&str; 2] = ["420103005", "420103008"];
/// Residents who are seeded, and whom the users share.
pub(super) const RESIDENTS: u32 = 50;
/// The steps of a lifecycle, in order.
pub(super) const STEPS: [&str; 4] = ["create", "assign", "resolve", "search"];

pub(super) fn fresh_histograms() -> Result<Vec<Histogram<u64>>> {
    STEPS.iter().map(|_| Ok(Histogram::new(3)?)).collect()
}

/// Users who play lifecycles, and what became of them. `bench spike` has them beside its arrivals.
pub(super) struct Bench {
    suite: Suite,
    actors: Arc<Actors>,
    item: String,
    pub(super) measuring: AtomicBool,
    pub(super) stopping: AtomicBool,
    pub(super) finished: AtomicU64,
    pub(super) retries: AtomicU64,
    /// Of them, those that were told so again though they came when they were told to.
    pub(super) refused_again: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) first_errors: Mutex<Vec<String>>,
}

/// What one user needs: the place, and who acts there.
pub(super) struct Cast {
    pub(super) place: String,
    window: Arc<Session>,
    resident: Arc<Session>,
}

/// Calls for somebody, and calls again when told to come back later. A macro, because closures that give futures of borrowed
/// arguments are not `Send` in tasks.
macro_rules! again {
    ($bench:expr, $step:literal, $by:expr, $client:ident, $method:ident, $message:expr) => {{
        let mut before = false;
        loop {
            let request = request($by, $message.clone(), before).await?;
            match $bench.suite.$client().$method(request).await {
                Ok(answer) => break answer.into_inner(),
                Err(status) => $bench.wait_as_advised($step, status, before).await?,
            }
            before = true;
        }
    }};
}

impl Bench {
    /// Nobody plays yet.
    pub(super) fn new(suite: Suite, actors: Arc<Actors>, item: String) -> Self {
        Self {
            suite,
            actors,
            item,
            measuring: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            finished: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            refused_again: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            first_errors: Mutex::default(),
        }
    }

    /// Waits as long as the answer advises; any other failure ends the lifecycle.
    async fn wait_as_advised(&self, step: &'static str, status: Status, before: bool) -> Result<()> {
        match advised_wait(&status) {
            Some(wait) => {
                self.retries.fetch_add(1, Ordering::Relaxed);
                self.refused_again.fetch_add(u64::from(before), Ordering::Relaxed);
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(anyhow::Error::from(status).context(step)),
        }
    }

    /// Counts an error and keeps the first ten.
    pub(super) fn note(&self, error: &anyhow::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if first.len() < 10 {
            first.push(format!("{error:#}"));
        }
    }

    pub(super) fn cast(&self, user: u64) -> Result<Cast> {
        // Only places that somebody of the seeded streets serves.
        let served: Vec<_> = self
            .actors
            .places
            .iter()
            .filter(|place| STREETS.iter().any(|street| place.code.starts_with(street)))
            .collect();
        if served.is_empty() {
            bail!("the seeded streets hold no places");
        }
        let place = served[usize::try_from(user)? % served.len()];
        Ok(Cast {
            place: place.unit_id.clone(),
            window: self.actors.role_at("service_worker", &place.unit_id, user)?.clone(),
            resident: self.actors.resident(user, u64::from(RESIDENTS))?.clone(),
        })
    }

    /// Ids of the residents whose cases the users play.
    pub(super) fn residents(&self) -> Result<Vec<String>> {
        let all = u64::from(RESIDENTS);
        let id = |n| self.actors.resident(n, all).map(|session| session.account.person_id.clone());
        (0..all).map(id).collect()
    }

    /// Registers so many cases.
    pub(super) async fn preload(self: &Arc<Self>, count: u64, users: usize, quiet: bool) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(count) };
        bar.set_style(ProgressStyle::with_template("  preload {bar:40} {pos}/{len}  {elapsed}  {per_sec}")?);
        let next = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for user in 0..users.max(64) as u64 {
            let (bench, next, bar) = (self.clone(), next.clone(), bar.clone());
            tasks.push(tokio::spawn(async move {
                let cast = bench.cast(user)?;
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    bench.create(&cast).await?;
                    bar.inc(1);
                }
                Ok::<_, anyhow::Error>(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        bar.finish_and_clear();
        let operator = self.actors.role("it_operator", 0)?;
        reconcile::drain(&self.suite, operator, Duration::from_secs(600)).await?.all_handled()
    }

    /// One user until told to stop; gives back the latencies of the measured lifecycles.
    pub(super) async fn user(self: Arc<Self>, user: u64) -> Result<Vec<Histogram<u64>>> {
        let cast = self.cast(user)?;
        let mut histograms = fresh_histograms()?;
        while !self.stopping.load(Ordering::Relaxed) {
            let measured = self.measuring.load(Ordering::Relaxed);
            match self.lifecycle(&cast).await {
                Ok(times) if measured && self.measuring.load(Ordering::Relaxed) => {
                    for (histogram, time) in histograms.iter_mut().zip(times) {
                        histogram.record(u64::try_from(time.as_micros())?.max(1))?;
                    }
                    self.finished.fetch_add(1, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(error) => {
                    self.note(&error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        Ok(histograms)
    }

    pub(super) async fn lifecycle(&self, cast: &Cast) -> Result<[Duration; 4]> {
        let began = Instant::now();
        let (case_id, task_id, org_id) = self.create(cast).await?;
        let created = began.elapsed();

        let began = Instant::now();
        let leader = self.actors.leader(&org_id)?;
        let sign = SignTaskRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            task_id: task_id.clone(),
            ..Default::default()
        };
        let signed = again!(self, "sign", leader, tasks, sign_task, sign);
        let signed = signed.case.context("an answer without a case")?;
        self.accepted(leader, signed, &task_id).await?;
        let assigned = began.elapsed();

        let began = Instant::now();
        let handler = self.actors.handler(&org_id)?;
        let contact = ContactRequesterRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            method: "phone".into(),
            ..Default::default()
        };
        again!(self, "contact", handler, tasks, contact_requester, contact);
        let complete = CompleteCaseRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            evidence_refs: vec!["photo:after".into()],
            ..Default::default()
        };
        again!(self, "complete", handler, tasks, complete_case, complete);
        let resolved = began.elapsed();

        let began = Instant::now();
        let search = ListCasesRequest { page_size: 10, mine: true, ..Default::default() };
        let found = again!(self, "search", &cast.resident, cases, list_cases, search);
        // Users share residents, so the new case is among the newest, not always the first.
        match found.cases.iter().find(|case| case.case_id == case_id) {
            Some(case) if case.state() >= CaseState::Completed => {}
            Some(case) => bail!("search: the completed case shows as {}", case.state().as_str_name()),
            None => bail!("search: the own case is not among the newest"),
        }
        Ok([created, assigned, resolved, began.elapsed()])
    }

    /// Registered … dispatched in one command: case, lead task, lead organisation.
    async fn create(&self, cast: &Cast) -> Result<(String, String, String)> {
        let intake = IntakeCaseRequest {
            request_id: request_id(),
            text: "楼道口堆了垃圾，几天没有人清理，希望尽快看看。".into(),
            place_unit_id: cast.place.clone(),
            channel: Channel::Phone.into(),
            item_code: self.item.clone(),
            requester_id: cast.resident.account.person_id.clone(),
            notice_version: "v1".into(),
            urgency: Urgency::Normal.into(),
            ..Default::default()
        };
        let created = again!(self, "create", &cast.window, cases, intake_case, intake);
        let case = created.case.context("create answered without a case")?;
        let lead = simulate::lead_task(&case).context("create answered without a lead task")?;
        Ok((case.case_id.clone(), lead.task_id.clone(), lead.org_id.clone()))
    }

    /// Waits until the case shows that a worker has accepted.
    async fn accepted(&self, reader: &Session, signed: Case, task_id: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut known = signed;
        loop {
            let task = known.tasks.iter().find(|task| task.task_id == task_id).context("the task is gone")?;
            match task.assignment() {
                AssignmentStatus::Accepted => return Ok(()),
                AssignmentStatus::Unfilled => bail!("assign: no worker was found"),
                _ if Instant::now() > deadline => bail!("assign: no acceptance within 30 s"),
                _ => {}
            }
            let wait = WaitCaseRequest { case_id: known.case_id, after_etag: known.etag, wait_seconds: 5 };
            let seen = again!(self, "wait", reader, cases, wait_case, wait);
            known = seen.case.context("an answer without a case")?;
        }
    }
}

/// A request of somebody's, which says whether it was told to come again before.
pub(super) async fn request<T>(by: &Session, message: T, before: bool) -> Rpc<Request<T>> {
    let mut request = by.request(message).await?;
    if before {
        request.metadata_mut().insert(ATTEMPTS_HEADER, MetadataValue::from_static("1"));
    }
    Ok(request)
}

/// How long a `RESOURCE_EXHAUSTED` answer asks to wait.
pub(super) fn advised_wait(status: &Status) -> Option<Duration> {
    use tonic_types::StatusExt;
    if status.code() != Code::ResourceExhausted {
        return None;
    }
    status.get_details_retry_info()?.retry_delay
}
