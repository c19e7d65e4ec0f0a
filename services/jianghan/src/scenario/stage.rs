//! Where scenarios are played: a running suite, the people who can sign in to it, and domain time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use calendar::Calendar;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Timelike, Utc};
use proto::{case_routing::v1::Case, volunteer_matching::v1::Volunteer};
use tonic::{Request, Response, Status};

use crate::{
    simulate::{self, actors::Actors, clock::DomainClock},
    suite::{AccountsFile, Session, Suite},
};

/// A command that somebody gave.
#[derive(Clone, Debug)]
pub struct Command {
    /// Role of whoever gave it.
    pub role: String,
    /// Name of the RPC.
    pub rpc: &'static str,
    /// Its `request_id`: the correlation of everything it sets off.
    pub request_id: String,
    /// The case, or what else it was about.
    pub about: String,
}

/// Who commanded what, in order.
#[derive(Debug, Default)]
pub struct Diary(Mutex<Vec<Command>>);

impl Diary {
    /// Notes a command.
    pub fn note(&self, command: Command) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(command);
    }

    /// The latest command on a case.
    pub fn latest(&self, about: &str) -> Option<Command> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rfind(|command| command.about == about).cloned()
    }

    /// RPCs noted after the first so many, and how many there are now.
    pub(super) fn after(&self, seen: usize) -> (Vec<&'static str>, usize) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (all.iter().skip(seen).map(|command| command.rpc).collect(), all.len())
    }
}

/// The stage. Cheap to clone.
#[derive(Clone)]
pub struct Stage {
    /// Clients that sit outages out.
    pub suite: Suite,
    /// Everybody who can sign in.
    pub actors: Arc<Actors>,
    /// Who may move time.
    pub operator: Arc<Session>,
    /// Who commanded what.
    pub diary: Arc<Diary>,
    /// Address of the board.
    pub board: String,
    patience: Duration,
}

/// Somebody on the stage.
#[derive(Clone)]
pub struct Person<'s> {
    /// Where they are.
    pub stage: &'s Stage,
    /// Their session.
    pub session: Arc<Session>,
}

impl Person<'_> {
    /// Their role, as the accounts name it.
    pub fn role(&self) -> &str {
        &self.session.account.role
    }

    /// A request that carries their token.
    ///
    /// # Errors
    /// When they cannot sign in.
    pub async fn asks<T>(&self, message: T) -> Result<Request<T>> {
        let signed_in = self.session.request(message).await;
        signed_in.map_err(|status| told(&status, &self.session.account.login, "SignIn"))
    }

    /// The answer to a call of theirs.
    ///
    /// # Errors
    /// The refusal, with who was refused what.
    pub fn heard<T>(&self, rpc: &str, answer: Result<Response<T>, Status>) -> Result<T> {
        answer.map(Response::into_inner).map_err(|status| told(&status, &self.session.account.login, rpc))
    }

    /// Notes a command of theirs.
    pub(super) fn notes(&self, about: &str, rpc: &'static str, request_id: &str) {
        let (role, request_id) = (self.role().to_owned(), request_id.to_owned());
        self.stage.diary.note(Command { role, rpc, request_id, about: about.to_owned() });
    }
}

fn told(status: &Status, login: &str, rpc: &str) -> anyhow::Error {
    anyhow::anyhow!("{rpc} by {login}: {:?} {}", status.code(), status.message())
}

/// What is seen in the morning of something that time brings.
pub(super) enum Look<T> {
    /// There it is.
    Seen(T),
    /// Its time has come: the services are about to do it.
    Due,
    /// Its time is still to come.
    Ahead,
    /// When its time comes, the services do not tell.
    Unknown,
}

/// Mornings after which nothing is expected any more: some working days, the longest holidays between them.
const MOST_MORNINGS: u32 = 40;

/// How long the services are given in a morning for what may be due or not. A jump of time they notice at once, and what is missed
/// is seen the morning after.
const A_LITTLE: Duration = Duration::from_millis(500);

/// Nine o'clock of a day in Wuhan.
fn nine(day: NaiveDate) -> Result<DateTime<Utc>> {
    let nine = NaiveTime::from_hms_opt(9, 0, 0).context("nine o'clock")?;
    Ok(calendar::instant(day, nine))
}

impl Stage {
    /// Before the running suite that an accounts file tells of.
    ///
    /// # Errors
    /// When it cannot be reached or is not seeded.
    pub async fn open(file: &AccountsFile, patience: Duration) -> Result<Self> {
        let suite = Suite::patient(&file.addresses, patience)?;
        let operator = simulate::operator(&suite, file)?;
        let actors = Arc::new(Actors::load(&suite, file).await?);
        let (board, diary) = (file.addresses.gateway.clone(), Arc::default());
        Ok(Self { suite, actors, operator, diary, board, patience })
    }

    /// The same, with a diary of its own.
    pub(super) fn for_one(&self) -> Self {
        Self { diary: Arc::default(), ..self.clone() }
    }

    fn person(&self, session: &Arc<Session>) -> Person<'_> {
        Person { stage: self, session: session.clone() }
    }

    /// The n-th account of a role.
    ///
    /// # Errors
    /// When there is none, as for all that look for somebody here.
    pub fn anyone(&self, role: &str, n: u64) -> Result<Person<'_>> {
        Ok(self.person(self.actors.role(role, n)?))
    }

    /// The n-th resident.
    ///
    /// # Errors
    /// See [`anyone`](Self::anyone).
    pub fn resident(&self, n: u64) -> Result<Person<'_>> {
        self.anyone("resident", n)
    }

    /// Whoever signs in by this name.
    ///
    /// # Errors
    /// See [`anyone`](Self::anyone).
    pub fn login(&self, login: &str) -> Result<Person<'_>> {
        let found = self.actors.login(login).with_context(|| format!("nobody signs in as {login}"))?;
        Ok(self.person(found))
    }

    /// A service worker of the community's station.
    ///
    /// # Errors
    /// See [`anyone`](Self::anyone).
    pub fn window(&self, community: &str) -> Result<Person<'_>> {
        self.login(&format!("worker1.{community}"))
    }

    /// A district dispatcher.
    ///
    /// # Errors
    /// See [`anyone`](Self::anyone).
    pub fn dispatcher(&self) -> Result<Person<'_>> {
        self.anyone("district_dispatcher", 0)
    }

    /// Who signs for an organisation.
    ///
    /// # Errors
    /// See [`anyone`](Self::anyone).
    pub fn leader_of(&self, org_id: &str) -> Result<Person<'_>> {
        Ok(self.person(self.actors.leader(org_id)?))
    }

    /// Who handles for an organisation.
    ///
    /// # Errors
    /// See [`anyone`](Self::anyone).
    pub fn handler_of(&self, org_id: &str) -> Result<Person<'_>> {
        Ok(self.person(self.actors.handler(org_id)?))
    }

    /// The worker whom the lead task of a case shows.
    ///
    /// # Errors
    /// See [`anyone`](Self::anyone).
    pub fn worker_of(&self, case: &Case) -> Result<Person<'_>> {
        let task = simulate::lead_task(case).context("the case has no lead task")?;
        let found = self.actors.worker(&task.worker_ref);
        Ok(self.person(found.context("the task shows no worker with an account")?))
    }

    /// The volunteer of a partner.
    ///
    /// # Errors
    /// See [`anyone`](Self::anyone).
    pub fn volunteer(&self, volunteer: &Volunteer) -> Result<Person<'_>> {
        let found = self.actors.worker(&volunteer.volunteer_ref);
        Ok(self.person(found.context("the volunteer has no account")?))
    }

    /// Id of a unit by its code.
    ///
    /// # Errors
    /// When there is none.
    pub fn unit(&self, code: &str) -> Result<String> {
        let found = self.actors.unit_id(code).map(ToOwned::to_owned);
        found.with_context(|| format!("there is no unit {code}"))
    }

    /// Id of an organisation by its code.
    ///
    /// # Errors
    /// When there is none.
    pub fn org(&self, code: &str) -> Result<String> {
        let found = self.actors.orgs.values().find(|org| org.code == code);
        Ok(found.with_context(|| format!("there is no organisation {code}"))?.org_id.clone())
    }

    /// Asks until the answer is `Some`.
    ///
    /// # Errors
    /// What asking fails with; `what`, when it does not come in time.
    pub async fn until<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + self.patience;
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            if Instant::now() > deadline {
                bail!("waited {:?} in vain for {what}", self.patience);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// Domain time.
    ///
    /// # Errors
    /// When a service does not answer, as for all that look at time or move it.
    pub async fn now(&self) -> Result<DateTime<Utc>> {
        Ok(self.clock().await?.now())
    }

    /// Moves domain time forward.
    ///
    /// # Errors
    /// See [`now`](Self::now).
    pub async fn pass(&self, time: chrono::Duration) -> Result<()> {
        let clock = self.clock().await?;
        clock.advance_to(clock.now() + time).await
    }

    /// Moves it from morning to morning, rest days too, until the answer is seen: how long a limit takes is up to the working
    /// hours and the notices in force, which nobody here knows. `ask` is given the morning. What is seen already moves nothing.
    ///
    /// # Errors
    /// What asking fails with; `what`, when it is due and does not come, or is not seen for many mornings.
    pub(super) async fn some_morning<T>(
        &self,
        what: &str,
        mut ask: impl AsyncFnMut(DateTime<Utc>) -> Result<Look<T>>,
    ) -> Result<T> {
        let mut morning = self.now().await?;
        for passed in 0..=MOST_MORNINGS {
            if passed > 0 {
                morning = nine(calendar::local_day(morning) + Days::new(1))?;
                self.clock().await?.advance_to(morning).await?;
            }
            let (began, mut pause) = (Instant::now(), Duration::from_millis(5));
            loop {
                let waited = began.elapsed();
                match ask(morning).await? {
                    Look::Seen(answer) => return Ok(answer),
                    Look::Ahead => break,
                    Look::Unknown if passed == 0 || waited > A_LITTLE => break,
                    Look::Due if waited > self.patience => {
                        bail!("waited {:?} in vain for {what}", self.patience)
                    }
                    Look::Unknown | Look::Due => tokio::time::sleep(pause).await,
                }
                pause = (pause * 2).min(Duration::from_millis(200));
            }
        }
        bail!("waited {MOST_MORNINGS} mornings in vain for {what}")
    }

    /// Moves it to nine o'clock of the next working day in Wuhan, so that limits and rosters do not depend on when
    /// somebody plays.
    ///
    /// # Errors
    /// See [`now`](Self::now).
    pub async fn to_the_next_morning(&self) -> Result<()> {
        let clock = self.clock().await?;
        let mut day = calendar::local_day(clock.now());
        loop {
            day = day + Days::new(1);
            if Calendar::builtin().is_work_day(day) {
                break;
            }
        }
        clock.advance_to(nine(day)?).await
    }

    /// Moves it to the next morning unless people are at work, with some hours of the day left.
    ///
    /// # Errors
    /// See [`now`](Self::now).
    pub async fn to_work_hours(&self) -> Result<()> {
        let now = self.now().await?;
        let hour = (now + chrono::Duration::hours(8)).hour(); // Asia/Shanghai has no daylight saving
        if Calendar::builtin().is_work_day(calendar::local_day(now)) && (9..14).contains(&hour) {
            return Ok(());
        }
        self.to_the_next_morning().await
    }

    async fn clock(&self) -> Result<Arc<DomainClock>> {
        DomainClock::start(&self.suite, self.operator.clone()).await
    }
}
