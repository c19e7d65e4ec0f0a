//! From the window to an accepted application, and the applicant's change of mind. The case follows by its own verbs.

use super::application::{Application, ApplicationFace, Filed, Filing, MovedDays, Refusal};
use super::application_codes::{ApplicationOutcome, ApplicationState, ApplicationVerb};
use super::application_news::ApplicationNews;
use super::application_state::allows_move;
use super::case::Case;
use super::codes::*;
use super::dispatch::RouteChoice;
use super::error::{DomainError, Result};
use super::ids::OrgId;
use super::intake::{RegisterCase, TriageCase, registered};
use super::state::Trigger;
use super::supplement::Materials;
use super::work::{Act, Party, Work};

/// Somebody applies.
#[derive(Debug, Clone)]
pub struct SubmitApplication {
    pub register: RegisterCase,
    pub material_refs: Vec<String>,
    /// The signed paper by which the family lets other departments be asked.
    pub authorisation_ref: Option<String>,
}

/// Papers that come later.
#[derive(Debug, Clone)]
pub struct BroughtPapers {
    pub material_refs: Vec<String>,
    /// The family signed by now; unset: what is on file stays.
    pub authorisation_ref: Option<String>,
}

impl Application {
    /// A new application with its case. A committee that enters it does so by proxy.
    ///
    /// # Errors
    /// As for [`Case::register`]; `Invalid` for an item that is none of applications or belongs to a channel of its own, and
    /// without an applicant.
    pub fn submit(command: SubmitApplication, act: &Act<'_>) -> Result<Filed> {
        let SubmitApplication { register, material_refs, authorisation_ref } = command;
        if register.requester.is_none() {
            return Err(DomainError::invalid("requester_id", "an application has an applicant"));
        }
        let mut work = registered(register, act)?;
        let item = work.item().filter(|item| item.nature == Nature::Application);
        let item =
            item.ok_or_else(|| DomainError::invalid("item_code", "not an item that is applied for"))?;
        if item.statutory_channel.is_some() || item.emergency_line.is_some() {
            return Err(DomainError::invalid("item_code", "belongs to a channel of its own"));
        }
        let application = Self::begun(&mut work, material_refs, authorisation_ref);
        Ok(Filing::of(application, work).finish())
    }

    /// New papers of a case that came in just now; from here on it follows them.
    pub(super) fn begun(
        work: &mut Work<'_>,
        material_refs: Vec<String>,
        authorisation_ref: Option<String>,
    ) -> Self {
        let state = ApplicationState::Submitted;
        debug_assert!(allows_move(None, state, ApplicationVerb::Submit));
        work.by_application = true;
        work.case.application = Some(ApplicationFace {
            state,
            notice: None,
            papers_due_at: None,
            papers_counted: None,
            moved: MovedDays::default(),
        });
        let routes = work.routes;
        let committee = |org: &OrgId| routes.org(*org).is_some_and(|org| org.kind == OrgKind::Committee);
        Self {
            id: work.case.id,
            submitted_at: work.now,
            proxy: work.by.org.filter(committee),
            material_refs,
            authorisation_ref,
            missing: Vec::new(),
            supplement_due_at: None,
            round_since: None,
            investigations: Vec::new(),
            review: None,
            returned: Vec::new(),
            notices: Vec::new(),
            objections: Vec::new(),
            ruling: None,
            delivery: None,
            papers: None,
            uncounted: Vec::new(),
            benefit: None,
            recheck: None,
            ending: None,
        }
    }

    /// Takes the application in; its case goes to the organisation in charge at once.
    ///
    /// # Errors
    /// `Guard(application_state)`; `NotEntitled` for a machine.
    pub fn accept(self, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Accept, act)?;
        filing.work.human_official()?;
        filing.work.accept(false)?;
        filing.work.send_to_lead()?;
        Ok(filing.finish())
    }

    /// Asks, once, for the complete list of what is missing.
    ///
    /// # Errors
    /// `Guard` `application_state`, `supplement_asked_before`, `accepted_by_silence`; `NotEntitled` for a machine; `Invalid` for
    /// an empty list or wrong codes.
    pub fn request_supplement(self, material_codes: Vec<String>, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::RequestSupplement, act)?;
        filing.work.human_official()?;
        filing.work.move_application(ApplicationState::NeedSupplement, ApplicationVerb::RequestSupplement)?;
        filing.application.missing.clone_from(&material_codes);
        filing.work.request_supplement(material_codes)?;
        let due = filing.work.case.clock(ClockKind::Supplement, None).map(|clock| clock.due_at);
        filing.application.supplement_due_at = due;
        Ok(filing.finish())
    }

    /// The missing papers come in: the application is accepted, and goes to the organisation in charge.
    ///
    /// # Errors
    /// `Guard(application_state)`; `Invalid` without papers.
    pub fn supplement(self, papers: BroughtPapers, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Supplement, act)?;
        add_papers(&mut filing.application, papers)?;
        // The papers are the application's: nothing of them stands in the case.
        filing.work.supplement(Materials::default())?;
        filing.work.send_to_lead()?;
        Ok(filing.finish())
    }

    /// A human does not take it in, in writing with reasons and remedies (C-5).
    ///
    /// # Errors
    /// `Guard` `application_state`, `accepted_by_silence`; `NotEntitled` for a machine; `Invalid` reasons or remedies.
    pub fn decline(self, refusal: &Refusal, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Decline, act)?;
        let ruling = filing.refusal(ApplicationOutcome::NotAccepted, refusal)?;
        filing.work.move_application(ApplicationState::NotAccepted, ApplicationVerb::Decline)?;
        filing.rule(ruling, None);
        filing.work.decline(&refusal.reason_code, "reconsideration")?;
        Ok(filing.finish())
    }

    /// The applicant withdraws, or the window that received it writes that down by a statement of theirs; a notice is gone at
    /// once.
    ///
    /// # Errors
    /// `Guard` `application_state`, `recheck`; else as for [`Case::withdraw`].
    pub fn withdraw(
        self,
        reason_code: &str,
        statement_ref: Option<&str>,
        case: Case,
        act: &Act<'_>,
    ) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Withdraw, act)?;
        filing.not_a_recheck()?;
        filing.work.withdraw_by_will(reason_code, statement_ref)?;
        Ok(filing.finish())
    }
}

/// Most papers of one application.
const MOST_PAPERS: usize = 200;

pub(super) fn add_papers(application: &mut Application, papers: BroughtPapers) -> Result<()> {
    let BroughtPapers { material_refs, authorisation_ref } = papers;
    if material_refs.is_empty() && authorisation_ref.is_none() {
        return Err(DomainError::invalid("material_refs", "the papers that come in"));
    }
    if authorisation_ref.is_some() {
        application.authorisation_ref = authorisation_ref;
    }
    application.material_refs.extend(material_refs);
    if application.material_refs.len() > MOST_PAPERS {
        return Err(DomainError::invalid("material_refs", "an application has at most 200 papers"));
    }
    Ok(())
}

impl Work<'_> {
    /// The item is known and the list says who is in charge: nobody need triage. Where the router is not sure enough the case
    /// waits for a dispatcher, as every other.
    pub(super) fn send_to_lead(&mut self) -> Result<()> {
        let by = std::mem::replace(&mut self.by, Party::system());
        self.triage(&TriageCase::default())?;
        self.route(&RouteChoice::PublicService)?;
        self.by = by;
        Ok(())
    }

    /// The case was accepted, whichever way it came; so was its application.
    pub(super) fn application_accepted(&mut self, in_time: bool, by_silence: bool) -> Result<()> {
        let Some(face) = &self.case.application else { return Ok(()) };
        let verb = match (face.state, by_silence) {
            (ApplicationState::NeedSupplement, true) => ApplicationVerb::SupplementExpired,
            (ApplicationState::NeedSupplement, false) => ApplicationVerb::Supplement,
            (_, true) => ApplicationVerb::AcceptBySilence,
            (_, false) => ApplicationVerb::Accept,
        };
        self.move_application(ApplicationState::Accepted, verb)?;
        self.tell(ApplicationNews::Accepted { in_time, by_silence }, None);
        Ok(())
    }

    /// The case is withdrawn, by its requester or because a supplement did not come; so is its application.
    pub(super) fn application_withdrawn(&mut self, trigger: Trigger) -> Result<()> {
        if self.case.application.is_none() {
            return Ok(());
        }
        self.take_notice_down();
        if let Some(face) = &mut self.case.application {
            face.papers_due_at = None;
        }
        let expired = trigger == Trigger::SupplementExpired;
        let verb = if expired { ApplicationVerb::SupplementExpired } else { ApplicationVerb::Withdraw };
        self.move_application(ApplicationState::Withdrawn, verb)
    }
}
