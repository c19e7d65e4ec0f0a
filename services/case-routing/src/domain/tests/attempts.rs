//! What anybody may try in a random history: every verb of the table and those beside it, by whoever is right or wrong
//! for it, with whatever is at hand.

use calendar::{Limit, TimeUnit};
use chrono::{Days, NaiveDate, TimeDelta};

use super::super::*;
use super::world::*;

/// One attempt: which verb, by whom, with which of the things at hand, after how many minutes.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// A number for the verb; see [`Attempt::verb`].
    pub verb: usize,
    /// Whether the verb is one that the state allows, or any.
    pub fitting: bool,
    pub by: usize,
    pub pick: usize,
    pub wait: i64,
}

/// What is tried: a verb of the table, or one that is possible in any state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Of(Trigger),
    Supervise,
    AnswerSupervision,
    AcknowledgeSupervision,
    EscalateSupervision,
    ClearSupervision,
    AppraiseWhistle,
    Absorb,
    News,
}

const BESIDE: [Verb; 8] = [
    Verb::Supervise,
    Verb::AnswerSupervision,
    Verb::AcknowledgeSupervision,
    Verb::EscalateSupervision,
    Verb::ClearSupervision,
    Verb::AppraiseWhistle,
    Verb::Absorb,
    Verb::News,
];

pub const ITEMS: [&str; 9] = [
    "stairs",
    "street_light",
    "shopping_help",
    "committee_matter",
    "licence",
    "demolition",
    "nobodys",
    "tangled_cables",
    "burst_pipe",
];

impl Attempt {
    /// Most attempts fit the state, so that histories get far; the others try the table's edges.
    pub fn verb(&self, state: CaseState) -> Verb {
        let fits = |trigger: &&Trigger| {
            // Withdrawing and merging end a history: they are tried, but not as often as the others.
            let ends = matches!(
                trigger,
                Trigger::Withdraw | Trigger::Merge | Trigger::HandOff | Trigger::Decline | Trigger::Archive
            );
            TRANSITIONS.iter().any(|(from, _, by)| *from == Some(state) && by == *trigger)
                && (!ends || self.pick == 0)
        };
        let fitting: Vec<Trigger> =
            if self.fitting { Trigger::ALL.iter().filter(fits).copied().collect() } else { Vec::new() };
        let of_table = if fitting.is_empty() { Trigger::ALL } else { &fitting };
        if self.verb.is_multiple_of(6) {
            return BESIDE[self.verb / 6 % BESIDE.len()];
        }
        Verb::Of(of_table[self.verb / 6 % of_table.len()])
    }

    /// Now and then something is left out that has to be there, though the right party acts.
    const fn leaves_out(&self) -> bool {
        self.by == 12
    }

    /// By which writing the requester was told.
    const fn told_ref(&self) -> &'static str {
        if self.leaves_out() { "" } else { "doc:told" }
    }

    /// Five times out of six the right party acts.
    fn party(&self, right: OrgId) -> Party {
        match self.by {
            0 => resident(),
            1 => Party::system(),
            2 => official(ALL_ORGS[(self.by + self.pick) % ALL_ORGS.len()]),
            _ => official(right),
        }
    }
}

fn resident() -> Party {
    Party { actor: requester(), org: None, standing: Standing::Requester }
}

/// Whoever it names, it may be a precedent; now and then from a day that does not lie ahead.
fn ruling(world: &World, lead: OrgId, attempt: &Attempt) -> RuleObjection {
    let pick = attempt.pick;
    let today = calendar::local_day(world.now);
    let precedent = match (attempt.by, pick % 2) {
        (4, 0) => Some(today - Days::new(1)),
        (4, _) => Some(today),
        (6, _) => Some(today + Days::new(1)),
        (8, _) => NaiveDate::from_ymd_opt(2030, 1, 1),
        _ => None,
    };
    let definition = (pick == 4).then(|| DefinitionRequest { org: COURTS, code: "whose_duty".into() });
    let interim = (pick == 3).then(|| "fence_off".into());
    let basis_code = "responsibility_list".into();
    RuleObjection { lead, assists: vec![], basis_code, precedent, interim, definition }
}

/// All of what was asked for, or nothing of it.
fn sent(pick: usize) -> Materials {
    if pick == 0 { Materials::default() } else { materials(&["id_copy"]) }
}

/// Who led the case that this one was merged into.
pub const LED_THE_OTHER: OrgId = STATION;

/// How the case stands that this one was merged into; it may have been done again just now.
fn original(world: &World, case: &Case, pick: usize) -> Original {
    let state = if pick == 0 { CaseState::InProgress } else { CaseState::Resolved };
    let id = case.merged_into.unwrap_or(CaseId(CITY.0));
    let done = (pick > 2).then_some(world.now);
    Original {
        id,
        state,
        lead: Some(LED_THE_OTHER),
        handlers: vec![LED_THE_OTHER],
        completed_at: done,
        reopenable_until: None,
        results: done.map(|at| (at, pick.is_multiple_of(2))).into_iter().collect(),
    }
}

/// Tries it. `None`: the verb has nothing to do.
pub fn attempt(world: &mut World, case: Case, attempt: &Attempt) -> Result<Option<Decision>> {
    let pick = attempt.pick;
    let tasks = case.tasks.len().max(1);
    let task = case.tasks.iter().rev().nth(pick % tasks).map(|task| (task.id, task.org));
    let (task, task_org) = task.unwrap_or((TaskId(CITY.0), STATION));
    let assists = case.tasks.iter().rev().filter(|task| task.part == TaskPart::Assist);
    let (assist, assist_org) =
        assists.map(|task| (task.id, task.org)).nth(pick % 2).unwrap_or((task, task_org));
    let lead_task = case.lead_task.unwrap_or(task);
    let lead = case.lead_org.unwrap_or(case.first_receiver);
    // Where the usual one is complained of, another has to.
    let window = if case.complained_of == Some(STATION) { STREET_OFFICE } else { STATION };
    let third = if case.complained_of == Some(VERIFIER) { GOVERNMENT } else { VERIFIER };
    let verifier = case.verification.as_ref().map_or(third, |verification| verification.verifier);
    let offer = case.offer.as_ref().map_or(OfferId(CITY.0), |offer| offer.id);
    let partner = case.offer.as_ref().map_or(GROUP, |offer| offer.partner);
    // A partner has to say by its offer that it is done.
    let by_offer = case.partner().is_some() && (pick > 5 || (pick > 0 && !case.partner_is_done()));
    let arbiter = case.objection.as_ref().and_then(|objection| objection.arbiter).unwrap_or(GOVERNMENT);
    let shown = !attempt.leaves_out();
    let evidence = || if shown { vec![(EvidenceKind::Document, "d-1".to_owned())] } else { vec![] };
    let org = ALL_ORGS[pick];
    let supervision = case.supervisions.get(pick).map_or(SupervisionId(CITY.0), |supervision| supervision.id);
    let one = |result: Result<Decision>| result.map(Some);
    let choice = match pick {
        0 | 1 => manual(org),
        2 => RouteChoice::PublicService,
        3 => case.routing.last().map_or(RouteChoice::Auto, |latest| RouteChoice::Confirmed(latest.id)),
        _ => RouteChoice::Auto,
    };
    let by = |right: OrgId| attempt.party(right);
    let (at_station, at_street, at_district) = (by(window), by(STREET_OFFICE), by(GOVERNMENT));
    let (as_lead, as_assist) = (by(lead), by(assist_org));
    let (as_partner, as_arbiter) = (by(partner), by(arbiter));
    // Now and then whoever handled the case is to check it.
    let handlers = case.handling_orgs();
    let checker = if attempt.by == 3 { handlers[pick % handlers.len()] } else { verifier };
    let as_verifier = by(checker);
    match attempt.verb(case.state) {
        Verb::Supervise => {
            let level = u8::try_from(pick % 5).unwrap();
            let about = (pick > 4).then_some(task);
            one(case.supervise(level, "leader", about, &world.act(at_street)))
        }
        Verb::AnswerSupervision => {
            let promised = (pick > 4).then(|| world.now + TimeDelta::hours(20));
            one(case.answer_supervision(supervision, "under_way", promised, &world.act(as_lead)))
        }
        Verb::AcknowledgeSupervision => one(case.acknowledge_supervision(supervision, &world.act(as_lead))),
        Verb::EscalateSupervision => {
            one(case.escalate_supervision(supervision, "no_progress", &world.act(at_street)))
        }
        Verb::AppraiseWhistle => one(case.appraise_whistle(assist, pick > 3, &world.act(at_street))),
        Verb::ClearSupervision => {
            let highest = u8::try_from(attempt.by % 4).unwrap();
            one(case.clear_supervision(supervision, highest, &world.act(at_street)))
        }
        Verb::Absorb => {
            let other = CaseId(DISTRICT.0);
            let complaint = world.found_out.map(|of| Complaint { of, by: vec![other] });
            let act = world.act(at_station);
            let joined = if pick > 6 {
                case.take_in(&[other], complaint.as_ref(), &act)
            } else {
                case.absorb(&[other], false, &act)
            };
            one(joined)
        }
        Verb::News if case.state == CaseState::Merged => {
            let original = original(world, &case, pick);
            Ok(case.hear_rectified(&original, &world.system()))
        }
        Verb::News => {
            let status = AssignmentStatus::ALL[pick % AssignmentStatus::ALL.len()];
            let at = world.now;
            let (assignment_id, version) = (None, 1);
            let news = AssignmentChanged { task_id: task, assignment_id, status, worker: None, at, version };
            one(case.assignment_changed(news, &world.system()))
        }
        Verb::Of(trigger) => match trigger {
            // Cases come into being before their history; what only time does is the sweeper's.
            Trigger::Register | Trigger::AcceptBySilence | Trigger::SupplementExpired => {
                case.tick(&world.system())
            }
            Trigger::Accept => one(case.accept(&world.act(at_station))),
            Trigger::RequestSupplement => {
                one(case.request_supplement(vec!["id_copy".into()], &world.act(at_station)))
            }
            Trigger::Supplement => one(case.supplement(sent(pick), &world.act(resident()))),
            Trigger::Decline => one(case.decline("out_of_scope", "petition", &world.act(at_station))),
            Trigger::HandOff => {
                let elsewhere = attempt.by.is_multiple_of(2);
                let (line, taker) =
                    if elsewhere { ("12345", Elsewhere::Taken) } else { ("119", Elsewhere::Nobody) };
                one(case.hand_off(line, taker, &world.act(at_station)))
            }
            Trigger::ReturnFromReferral if pick > 3 => {
                one(case.take_back("by_mistake", &world.act(at_station)))
            }
            Trigger::ReturnFromReferral => one(case.return_from_referral("hotline", "退回", &world.system())),
            Trigger::Merge => one(case.merge(CaseId(CITY.0), &world.act(at_station))),
            Trigger::Unmerge if pick > 4 => one(case.unmerge_from_over(pick > 6, &world.act(at_station))),
            Trigger::Unmerge => one(case.unmerge(&world.act(at_station))),
            Trigger::Answer => {
                let closed_code = if pick == 1 { ClosedCode::Explained } else { ClosedCode::BeyondAuthority };
                let command = AnswerCase { explanation_ref: "kb".into(), closed_code };
                // Whoever reaches the case may answer it, not only who received it.
                let window = if pick == 0 { STATION } else { ALL_ORGS[(pick + attempt.by) % ALL_ORGS.len()] };
                one(case.answer(command, &world.act(by(window))))
            }
            Trigger::Triage => {
                let complained_of = world.found_out.filter(|_| pick > 4);
                let item = triage(ITEMS[(pick + attempt.by) % ITEMS.len()]);
                one(case.triage(&TriageCase { complained_of, ..item }, &world.act(at_station)))
            }
            Trigger::SolveOnSpot => {
                let found = Case { origin: Origin::Patrol, ..case };
                one(found.solve_on_spot(&on_the_spot(pick > 3), &world.act(at_station)))
            }
            Trigger::Offer => one(case.offer(&world.act(at_street))),
            Trigger::ConfirmOffer if pick > 3 => one(case.confirm_offer(offer, &world.act(as_partner))),
            Trigger::ConfirmOffer => case.social_accepted(offer, &world.system()),
            Trigger::LapseOffer if pick > 3 => one(case.decline_offer(offer, &world.act(as_partner))),
            Trigger::LapseOffer => case.social_declined(offer, &world.system()),
            Trigger::Dispatch => {
                let by_hand = matches!(choice, RouteChoice::Manual(..));
                one(case.dispatch(&choice, &world.act(if by_hand { at_district } else { at_street })))
            }
            Trigger::Sign => one(case.sign(lead_task, &world.act(as_lead))),
            Trigger::SignAssist => one(case.sign(assist, &world.act(as_assist))),
            Trigger::Object => {
                let command = ObjectTask {
                    task_id: lead_task,
                    ground_code: "not_my_duty".into(),
                    basis_refs: vec!["art. 3".into()],
                    suggested: (pick > 4).then_some(org),
                };
                one(case.object(command, &world.act(as_lead)))
            }
            Trigger::ObjectAssist => {
                let command = ObjectTask {
                    task_id: assist,
                    ground_code: "not_my_duty".into(),
                    basis_refs: vec!["art. 3".into()],
                    suggested: None,
                };
                one(case.object(command, &world.act(as_assist)))
            }
            Trigger::DecideAssistObjection => {
                let act = world.act(at_district);
                one(case.decide_assist_objection(assist, pick > 3, "duty_is_clear", &act))
            }
            Trigger::RejectObjection => one(case.reject_objection("duty_is_clear", &world.act(at_district))),
            Trigger::Redispatch => one(case.redispatch(&choice, &world.act(at_district))),
            Trigger::OpenArbitration => one(case.open_arbitration(&[org], None, &world.act(at_district))),
            Trigger::TakePosition | Trigger::AgreeArbitration => {
                let parties = case.objection.as_ref().map_or(vec![], |objection| objection.parties.clone());
                let heard = case.objection.as_ref().map_or(0, |objection| objection.positions.len());
                let next = parties.get(heard).copied().unwrap_or(lead);
                let named = if pick > 5 { org } else { parties.last().copied().unwrap_or(org) };
                one(case.take_position(named, &world.act(by(next))))
            }
            Trigger::RuleArbitration => {
                let ruling = ruling(world, org, attempt);
                one(case.rule_objection(&ruling, &world.act(as_arbiter)))
            }
            Trigger::RequestReview => one(case.request_review("wrong_item", &world.act(as_lead))),
            Trigger::RuleReview => {
                let reviewer = Party { actor: PersonRef("o-review".into()), ..as_arbiter };
                let ruling = ruling(world, org, attempt);
                one(case.rule_review(&ruling, &world.act(reviewer)))
            }
            Trigger::Whistle => {
                let orgs = if pick > 5 { vec![org] } else { vec![URBAN] };
                let command = WhistleCase { orgs, report_within: None, reason_code: "joint_work".into() };
                one(case.whistle(&command, &world.act(at_street)))
            }
            Trigger::ReportIn => one(case.report_in(assist, &world.act(as_assist))),
            Trigger::DeclineTask => {
                one(case.decline_task(lead_task, "not_admitted", pick > 3, &world.act(as_lead)))
            }
            Trigger::DeclineAssist => {
                one(case.decline_task(assist, "not_admitted", pick > 3, &world.act(as_assist)))
            }
            Trigger::RefuseUnadmitted => {
                one(case.refuse_unadmitted(lead_task, "not_admitted", &world.act(as_lead)))
            }
            Trigger::RefuseUnadmittedAssist => {
                one(case.refuse_unadmitted(assist, "not_admitted", &world.act(as_assist)))
            }
            Trigger::Recall => one(case.recall("mis_dispatch", &world.act(at_district))),
            Trigger::Contact => one(case.contact(ContactMethod::Phone, &world.act(as_lead))),
            Trigger::Suspend => {
                let cause = if pick < 6 { "expert_review" } else { "season_condition" };
                let used_up = case.waited.iter().any(|waited| waited.cause_code == cause);
                // Either a cause that is listed, or the writing, is what is left out.
                let (cause, told) = match pick % 2 {
                    0 if attempt.leaves_out() => ("no_time", "doc:told"),
                    _ => (cause, attempt.told_ref()),
                };
                let days = i64::try_from(pick).unwrap() * 5;
                let resume_at = (pick % 2 == 1).then(|| world.now + TimeDelta::days(days));
                let leader = if used_up && pick > 2 { at_district } else { as_lead };
                one(case.suspend(cause, told, resume_at, &world.act(leader)))
            }
            Trigger::Resume => one(case.resume(&world.act(as_lead))),
            Trigger::Extend => {
                let extra = Limit::new(TimeUnit::WorkDay, u16::try_from(pick).unwrap());
                let above = case.extension_count >= SlaProfile::default().max_extensions && pick != 1;
                let approver = if above { at_district } else { as_lead };
                one(case.extend(extra, "complex", attempt.told_ref(), &world.act(approver)))
            }
            Trigger::SubmitTask => one(case.submit_task(assist, evidence(), &world.act(as_assist))),
            Trigger::ReturnTask => one(case.return_task(assist, "unclear", &world.act(as_lead))),
            Trigger::CompleteStage => {
                let code = case.stage_in_hand().map_or_else(|| "secure".to_owned(), |run| run.code.clone());
                let code = if pick == 0 { "other".to_owned() } else { code };
                one(case.complete_stage(&code, evidence(), &world.act(as_lead)))
            }
            Trigger::Complete if by_offer => {
                let records: Vec<String> = shown.then(|| "record:1".to_owned()).into_iter().collect();
                case.social_completed(offer, &records, &world.system())
            }
            Trigger::Complete => {
                let open = case.tasks.iter().filter(|task| task.part == TaskPart::Assist);
                let open = open.filter(|task| task.state.is_open()).map(|task| task.id);
                let waived = open.filter(|_| pick > 2).collect();
                let evidence = if shown { done().evidence } else { vec![] };
                one(case.complete(CompleteCase { evidence, waived, ..done() }, &world.act(as_lead)))
            }
            Trigger::ReturnFromSociety => one(case.return_from_society("gave_up", &world.act(as_partner))),
            Trigger::ReturnFromMediation => one(case.return_from_mediation(&world.system())),
            Trigger::StartVerification => one(case.start_verification(&world.act(as_verifier))),
            Trigger::RecordCallback => {
                let report = if pick > 4 { reached(4) } else { CallbackReport::NoAnswer };
                one(case.record_callback(&report, &world.act(as_verifier)))
            }
            Trigger::Verify => {
                let partly = VerifyCase {
                    resolution: Resolution::PartlyResolved,
                    partly_reason_code: Some("season".into()),
                    callback: None,
                    ..found_good()
                };
                let finding = if pick == 0 { partly } else { found_good() };
                one(case.verify(&finding, &world.act(as_verifier)))
            }
            Trigger::OrderRework => one(case.order_rework("not_done", &world.act(as_verifier))),
            Trigger::Rate => one(case.rate(u8::try_from(pick % 6).unwrap(), &world.act(resident()))),
            Trigger::JudgeRating => one(case.judge_rating(pick > 3, "", &world.act(as_verifier))),
            Trigger::RateMerged => {
                let original = original(world, &case, pick);
                let grade = u8::try_from(pick % 6).unwrap();
                one(case.rate_merged(grade, &original, &world.act(resident())))
            }
            Trigger::JudgeMerged => {
                let original = original(world, &case, pick);
                one(case.judge_merged(pick > 3, "", &original, &world.act(as_verifier)))
            }
            Trigger::CallMerged => {
                let original = original(world, &case, pick);
                let report = if pick > 4 { reached(2) } else { CallbackReport::NoAnswer };
                one(case.call_merged(&report, &original, &world.act(as_verifier)))
            }
            Trigger::Close => one(case.close(&world.system())),
            Trigger::Reopen => {
                let who = match pick {
                    0..=3 => resident(),
                    4 | 5 => at_street,
                    _ => as_lead,
                };
                one(case.reopen("new_facts", &world.act(who)))
            }
            Trigger::Withdraw => one(case.withdraw("solved_itself", None, &world.act(resident()))),
            Trigger::Archive => one(case.archive(&world.system())),
        },
    }
}
