//! What the case and duty pages tell besides the case itself: an application, a mediation, a ruling, a whistle, transfers
//! of duties.

use prost_types::Timestamp;
use proto::{
    case_routing::v1::{
        AdmissionAssessment, AdmissionRefusal, Application, ApplicationDecision, ApplicationOutcome,
        ApplicationReview, ApplicationState, Benefit, BenefitEnding, BenefitGround, BenefitRecheck,
        BenefitState, Case, DispatchMode, DutyLeg, DutyOpinion, DutyTransfer, DutyTransferState,
        GetApplicationResponse, GetDutyTransferResponse, GetMediationResponse, Investigation,
        InvestigationKind, InvestigationSignature, LegState, ListAdmissionRefusalsResponse,
        ListAdmissionsResponse, ListDutyTransfersResponse, ListMediationsResponse, Material, Mediation,
        MediationDeadline, MediationDeadlineKind, MediationParty, MediationSession, MediationState,
        NoticeObjection, NoticePeriod, Objection, OpinionView, PartyKind, Position, PostNeed, Rating, Reason,
        RecheckOutcome, Remedy, RemedyKind, Supervision, Supplement, Suspension, Task, TaskAdmission,
        TaskAdmissionState, TaskPart, TaskState, WhistleScore,
    },
    staffing::v1::PostKind,
};

use crate::{
    arrivals,
    canned::{BUREAU, CASE, OFFICE, STREET},
    fakes::Services,
};

pub const TRANSFER: &str = "0197d000-0000-7000-8000-000000000001";
pub const ADMISSION: &str = "0197e000-0000-7000-8000-000000000001";
/// The re-check of a benefit, and the application that granted it.
pub const RECHECK: &str = "0197f000-0000-7000-8000-000000000001";
pub const GRANTED: &str = "0197f000-0000-7000-8000-000000000002";

fn at(minutes: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_772_413_200 + minutes * 60, nanos: 0 })
}

/// A case with everything that a dispute about competence, a whistle and a supervision leave on it; something was missing when
/// it came in, it waits now, and a bad rating of it was judged.
pub fn disputed(case: Case) -> Case {
    let objection = Objection {
        objector_org_id: OFFICE.into(),
        suggested_org_id: BUREAU.into(),
        ground_code: "not_competent".into(),
        objected_time: at(200),
        state: "final".into(),
        arbiter_org_id: OFFICE.into(),
        party_org_ids: vec![OFFICE.into(), BUREAU.into()],
        positions: vec![Position { party_org_id: OFFICE.into(), lead_org_id: BUREAU.into() }],
        ruled_lead_org_id: BUREAU.into(),
        basis_code: "responsibility_list".into(),
        precedent_from: "2026-03-04".into(),
        evidence_refs: vec!["doc:duty-list".into(), "doc:minutes-3".into()],
        interim_org_id: OFFICE.into(),
        interim_measure_code: "stop_gap".into(),
        definition_org_id: BUREAU.into(),
        definition_code: "whose_duty".into(),
        ..Default::default()
    };
    let called = Task {
        task_id: "t-3".into(),
        org_id: BUREAU.into(),
        sender_org_id: OFFICE.into(),
        part: TaskPart::Assist.into(),
        mode: DispatchMode::Whistle.into(),
        state: TaskState::Submitted.into(),
        signed_time: at(300),
        submitted_time: at(400),
        whistle: Some(WhistleScore {
            reported: true,
            reported_in_time: false,
            solved_judged: true,
            solved: true,
            needed_judged: false,
            needed: false,
        }),
        ..Default::default()
    };
    let supervision = Supervision {
        supervision_id: "s-1".into(),
        level: 2,
        state: "answered".into(),
        org_id: BUREAU.into(),
        issued_time: at(500),
        due_time: at(900),
        answered_time: at(600),
        answer_code: "under_way".into(),
        ..Default::default()
    };
    let mut case = case;
    case.objection = Some(objection);
    case.tasks.push(called);
    case.supervisions = vec![supervision];
    case.supplement = Some(Supplement {
        asked_material_codes: vec!["id_card".into(), "income_proof".into()],
        asked_time: at(15),
        due_time: at(5 * 1440),
        materials: vec![
            material("id_card", "身份证", "identity card"),
            material("income_proof", "收入证明", "proof of income"),
        ],
        ..Default::default()
    });
    case.suspension = Some(Suspension {
        cause_code: "season_condition".into(),
        told_ref: "doc:told-7".into(),
        start_time: at(700),
        resume_time: at(90 * 1440),
    });
    case.rating = Some(Rating {
        grade: 2,
        judged: true,
        judged_valid: false,
        judge_reason_code: "complaint_unfounded".into(),
        ..Default::default()
    });
    case.application_state = ApplicationState::Denied.into();
    case
}

fn material(code: &str, zh: &str, en: &str) -> Material {
    Material { material_code: code.into(), name_zh: zh.into(), name_en: en.into() }
}

/// A visit that needs two people, made by these.
fn visit(people: &[&str]) -> Investigation {
    let signed = |person: &&str| InvestigationSignature {
        person_ref: (*person).to_owned(),
        org_id: OFFICE.into(),
        signed_time: at(1440),
    };
    Investigation {
        kind: InvestigationKind::HomeVisit.into(),
        finding_code: "as_stated".into(),
        investigator_refs: people.iter().map(|person| (*person).to_owned()).collect(),
        investigated_time: at(1440),
        signatures: people.iter().map(signed).collect(),
        needed_people: 2,
        complete: people.len() > 1,
        ..Default::default()
    }
}

/// What a re-check is about to end, or ended.
pub fn benefit(ended: bool) -> Benefit {
    let (state, outcome) = if ended {
        (BenefitState::Ended, RecheckOutcome::Ended)
    } else {
        (BenefitState::UnderReview, RecheckOutcome::Open)
    };
    Benefit {
        benefit_id: GRANTED.into(),
        tag_code: "dibao".into(),
        state: state.into(),
        since_time: at(-90 * 1440),
        review_time: at(20 * 1440),
        ended_time: ended.then(|| at(25 * 1440)).flatten(),
        end_reason_code: if ended { "income_above_standard".into() } else { String::new() },
        rechecks: vec![BenefitRecheck {
            case_id: RECHECK.into(),
            review_time: at(20 * 1440),
            begun_time: at(20 * 1440),
            outcome: outcome.into(),
        }],
        calendar_version: "2001".into(),
        ending: None,
    }
}

/// What ended because whoever had it moved away.
pub fn left() -> Benefit {
    let remedy = |kind: RemedyKind, body: &str| Remedy {
        kind: kind.into(),
        body: body.into(),
        due_time: at(60 * 1440),
        ..Default::default()
    };
    Benefit {
        end_reason_code: "ended".into(),
        ending: Some(BenefitEnding {
            ground: BenefitGround::MovedAway.into(),
            ended_on: "2026-03-25".into(),
            statement: "户口已迁出本市 <i>见复印件</i>".into(),
            org_id: OFFICE.into(),
            remedies: vec![
                remedy(RemedyKind::Reconsideration, "武汉市人民政府"),
                remedy(RemedyKind::Litigation, "武汉市中级人民法院"),
            ],
            decided_time: at(26 * 1440),
            ..Default::default()
        }),
        ..benefit(true)
    }
}

pub fn application() -> Application {
    let remedy = |kind: RemedyKind, body: &str| Remedy {
        kind: kind.into(),
        body: body.into(),
        due_time: at(60 * 1440),
        ..Default::default()
    };
    Application {
        case_id: CASE.into(),
        state: ApplicationState::Denied.into(),
        place_unit_id: STREET.into(),
        proxy_org_id: OFFICE.into(),
        submitted_time: at(0),
        supplement_due_time: at(5 * 1440),
        investigations: vec![visit(&["p-1", "p-2"]), visit(&["p-3"])],
        review: Some(ApplicationReview {
            org_id: OFFICE.into(),
            reviewed_time: at(2000),
            ..Default::default()
        }),
        notice: Some(NoticePeriod {
            notice_id: "n-1".into(),
            first_day: "2026-03-03".into(),
            last_day: "2026-03-10".into(),
            current: true,
            calendar_version: "2001".into(),
        }),
        objections: vec![NoticeObjection {
            objected_time: at(2500),
            text: "他家上月买了车".into(),
            ..Default::default()
        }],
        decision: Some(ApplicationDecision {
            outcome: ApplicationOutcome::Denied.into(),
            org_id: BUREAU.into(),
            written_reason: "家庭人均月收入高于本市低保标准 <b>见报告</b>".into(),
            remedies: vec![
                remedy(RemedyKind::Reconsideration, "江汉区人民政府"),
                remedy(RemedyKind::Litigation, "江汉区人民法院"),
            ],
            amount_fen: 90_000,
            decided_time: at(3000),
            ..Default::default()
        }),
        recheck_of_case_id: GRANTED.into(),
        benefit: Some(benefit(false)),
        ..Default::default()
    }
}

fn mediation() -> Mediation {
    let party = |number, consented: Option<Timestamp>| MediationParty {
        number,
        kind: PartyKind::Person.into(),
        consented_time: consented,
        ..Default::default()
    };
    Mediation {
        case_id: CASE.into(),
        case_no: "420103-20260302-000001".into(),
        opened_time: at(0),
        state: MediationState::Effective.into(),
        mediator_org_id: OFFICE.into(),
        parties: vec![party(1, at(30)), party(2, at(40))],
        sessions: vec![MediationSession { number: 1, held_time: at(100), has_notes: true }],
        deadlines: vec![MediationDeadline {
            kind: MediationDeadlineKind::RequestConfirmation.into(),
            due_time: at(30 * 1440),
            ..Default::default()
        }],
        remedy: Some(Reason {
            code: "court".into(),
            text_zh: "可以向人民法院提起诉讼".into(),
            text_en: "The court is open".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn transfer() -> DutyTransfer {
    let leg = |state: LegState, reference: &str| {
        Some(DutyLeg {
            state: state.into(),
            reference: reference.into(),
            change_time: at(90),
            ..Default::default()
        })
    };
    DutyTransfer {
        duty_transfer_id: TRANSFER.into(),
        state: DutyTransferState::Proposed.into(),
        from_org_id: BUREAU.into(),
        to_org_id: OFFICE.into(),
        item_codes: vec!["CJ-0108".into()],
        basis_ref: "doc:district-2026-8".into(),
        fund_fen: 80_000,
        posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
        effective_time: at(4 * 1440),
        deadline_time: at(3 * 1440),
        authority: leg(LegState::Confirmed, "doc:district-grant-8"),
        funds: leg(LegState::Confirmed, "housing-help"),
        staff: leg(LegState::Refused, ""),
        training_codes: vec!["heating_basics".into()],
        training: leg(LegState::Open, ""),
        assessment: Some(AdmissionAssessment {
            law_code: "law_found".into(),
            need_code: "seasonal".into(),
            load_code: "bearable".into(),
            alternative_code: "none".into(),
        }),
        assessed_time: at(70),
        opinions: vec![DutyOpinion {
            heard: "community".into(),
            view: OpinionView::Supports.into(),
            opinion_time: at(60),
            ..Default::default()
        }],
        proposed_time: at(0),
        ..Default::default()
    }
}

pub fn admission() -> TaskAdmission {
    TaskAdmission {
        admission_id: ADMISSION.into(),
        state: TaskAdmissionState::InForce.into(),
        from_org_id: BUREAU.into(),
        to_org_id: OFFICE.into(),
        item_code: "CJ-0110".into(),
        basis_ref: "doc:district-2026-9".into(),
        fund_fen: 20_050,
        posts: vec![PostNeed { kind: PostKind::GridWorker.into(), count: 2 }],
        valid_from_time: at(1440),
        valid_to_time: at(90 * 1440),
        ..Default::default()
    }
}

/// What was missing came in: all of it and more, or in words that have no codes.
pub fn supplemented(mut case: Case, codes: &[&str], reference: &str) -> Case {
    if let Some(list) = &mut case.supplement {
        list.sent_material_codes = codes.iter().map(|code| (*code).to_owned()).collect();
        list.material_refs = vec![reference.to_owned()];
        list.sent_time = at(1440);
    }
    case
}

/// From now on the services answer with them.
pub fn filed(services: &Services) {
    services.answer("GetApplication", &GetApplicationResponse { application: Some(application()) });
    services.answer("GetMediation", &GetMediationResponse { mediation: Some(mediation()) });
    let mediations = ListMediationsResponse { mediations: vec![mediation()], next_page_token: "a+b".into() };
    services.answer("ListMediations", &mediations);
    services.answer("GetDutyTransfer", &GetDutyTransferResponse { transfer: Some(transfer()) });
    let transfers = ListDutyTransfersResponse { transfers: vec![transfer()], next_page_token: "a+b".into() };
    services.answer("ListDutyTransfers", &transfers);
    let admissions = ListAdmissionsResponse { admissions: vec![admission()], ..Default::default() };
    services.answer("ListAdmissions", &admissions);
    arrivals::filed(services);
    let refusal = AdmissionRefusal {
        case_id: CASE.into(),
        org_id: OFFICE.into(),
        sender_org_id: BUREAU.into(),
        item_code: "CJ-0111".into(),
        refused_time: at(700),
        ..Default::default()
    };
    let refusals = ListAdmissionRefusalsResponse { refusals: vec![refusal], ..Default::default() };
    services.answer("ListAdmissionRefusals", &refusals);
}
