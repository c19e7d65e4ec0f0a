//! Applications and public notices as callers see them.

use chassis::{Timestamp, proto::case_routing::v1 as pb};
use chrono::{NaiveDate, TimeDelta};

use super::convert::{at, reason, text};
use crate::{
    atlas::World,
    codes::{
        application_outcome, application_state, benefit_ground, case_state, investigation_kind, remedy_kind,
    },
    domain::{
        Application, BenefitChange, BenefitEnding, BenefitNews, Case, ClockKind, Determination,
        Investigation, Notice, NoticeObjection, PersonRef, Reason, Remedy, RemedyKind, ReturnedReview,
        Review, Signature, UncountedPeriod,
    },
    store::{
        benefits::{BegunRecheck, Benefit},
        notices,
    },
};

fn day(day: NaiveDate) -> String {
    day.format("%Y-%m-%d").to_string()
}

/// An application at an instant, with its benefit where that is known. Objections to its notice are not for the applicant: who
/// objects may live next door.
pub fn application(
    application: &Application,
    case: &Case,
    world: &World,
    now: Timestamp,
    for_applicant: bool,
    benefit: Option<pb::Benefit>,
) -> pb::Application {
    let by_now = application.as_of(case);
    let application = &*by_now;
    let item = case.item.as_ref();
    let item = item.and_then(|item| world.routes.item_version(&item.code, item.version));
    let needed = item.map_or(0, |item| item.application.field_checkers);
    let item_code = case.item.as_ref().map(|item| item.code.clone()).unwrap_or_default();
    let (name_zh, name_en) = world.item_names(&item_code);
    let objections = application.objections.iter().filter(|_| !for_applicant).map(objection);
    // The clock follows the calendar; the papers know what was told when it was asked for.
    let supplement = case.clock(ClockKind::Supplement, None).map(|clock| clock.due_at);
    let papers = application.papers.as_ref();
    pb::Application {
        case_id: case.id.to_string(),
        case_no: case.case_no.clone(),
        etag: case.version.to_string(),
        state: case.application.as_ref().map_or(0, |face| application_state(face.state).into()),
        case_state: case_state(case.state).into(),
        item_name_zh: name_zh.to_owned(),
        item_name_en: name_en.to_owned(),
        item_code,
        place_unit_id: case.place.unit.to_string(),
        proxy_org_id: text(application.proxy),
        material_refs: application.material_refs.clone(),
        missing_material_codes: application.missing.clone(),
        supplement_due_time: supplement.or(application.supplement_due_at).and_then(at),
        data_check_authorised: application.authorisation_ref.is_some(),
        investigations: application.investigations.iter().map(|check| investigation(check, needed)).collect(),
        review: application.review.as_ref().map(review),
        returned_reviews: application.returned.iter().map(returned).collect(),
        notice: application.notices.last().map(|last| notice(last, case, now)),
        objections: objections.collect(),
        decision: application.ruling.as_ref().map(ruling),
        delivery_ref: application.delivery.as_ref().map(|(what, _)| what.clone()).unwrap_or_default(),
        delivered_time: application.delivery.as_ref().and_then(|(_, when)| at(*when)),
        papers_due_time: papers.and_then(|papers| at(papers.due_at)),
        papers_time: papers.and_then(|papers| at(papers.submitted_at?)),
        papers_calendar_version: version(papers.map_or(0, |papers| papers.calendar_version)),
        uncounted: application.uncounted.iter().map(uncounted).collect(),
        resolve_due_time: case.resolve_clock().and_then(|clock| at(clock.due_at)),
        submitted_time: at(application.submitted_at),
        benefit,
        recheck_of_case_id: text(application.recheck.as_ref().map(|recheck| recheck.benefit)),
    }
}

/// A benefit as it stands, with its re-checks and what was written when it ended outside of one.
pub fn as_it_stands(
    benefit: &Benefit,
    rechecks: &[BegunRecheck],
    ending: Option<pb::BenefitEnding>,
) -> pb::Benefit {
    let state = match (benefit.ended_at, benefit.recheck_case_id) {
        (Some(_), _) => pb::BenefitState::Ended,
        (None, Some(_)) => pb::BenefitState::UnderReview,
        (None, None) => pb::BenefitState::Active,
    };
    pb::Benefit {
        benefit_id: benefit.benefit_id.to_string(),
        tag_code: benefit.tag_code.clone(),
        state: state.into(),
        since_time: at(benefit.since),
        review_time: at(benefit.review_at),
        ended_time: benefit.ended_at.and_then(at),
        end_reason_code: benefit.end_reason.clone(),
        rechecks: rechecks.iter().map(recheck).collect(),
        calendar_version: version(u32::try_from(benefit.calendar_version).unwrap_or(0)),
        ending,
    }
}

/// How it ended outside of a re-check. What officials wrote of a death is not for the account of the dead.
pub fn ending(ending: &BenefitEnding, for_applicant: bool) -> pb::BenefitEnding {
    let hidden = for_applicant && !ending.ground.is_told();
    pb::BenefitEnding {
        ground: benefit_ground(ending.ground).into(),
        ended_on: day(ending.on),
        statement: if hidden { String::new() } else { ending.statement.clone() },
        decider_ref: ending.by.to_string(),
        org_id: ending.org.to_string(),
        remedies: ending.remedies.iter().map(remedy).collect(),
        decided_time: at(ending.at),
    }
}

fn recheck(recheck: &BegunRecheck) -> pb::BenefitRecheck {
    let outcome = match recheck.outcome.as_str() {
        "renewed" => pb::RecheckOutcome::Renewed,
        "ended" => pb::RecheckOutcome::Ended,
        _ => pb::RecheckOutcome::Open,
    };
    pb::BenefitRecheck {
        case_id: recheck.case_id.to_string(),
        review_time: at(recheck.review_at),
        begun_time: at(recheck.begun_at),
        outcome: outcome.into(),
    }
}

/// As a command made it at an instant.
pub fn as_changed(change: &BenefitChange, when: Timestamp) -> pb::Benefit {
    let benefit = pb::Benefit {
        benefit_id: change.benefit.to_string(),
        tag_code: change.tag_code.clone(),
        state: pb::BenefitState::Active.into(),
        ..pb::Benefit::default()
    };
    match &change.news {
        BenefitNews::Granted { review_at, calendar_version, .. } => pb::Benefit {
            since_time: at(when),
            review_time: at(*review_at),
            calendar_version: version(*calendar_version),
            ..benefit
        },
        BenefitNews::Renewed { review_at, calendar_version } => pb::Benefit {
            review_time: at(*review_at),
            calendar_version: version(*calendar_version),
            ..benefit
        },
        BenefitNews::Ended { reason_code } => pb::Benefit {
            state: pb::BenefitState::Ended.into(),
            ended_time: at(when),
            end_reason_code: reason_code.clone(),
            ..benefit
        },
    }
}

fn investigation(check: &Investigation, needed: u8) -> pb::Investigation {
    let signature = |(person, signature): (&PersonRef, Option<&Signature>)| pb::InvestigationSignature {
        person_ref: person.to_string(),
        org_id: text(signature.map(|signature| signature.org)),
        signed_time: signature.and_then(|signature| at(signature.at)),
    };
    pb::Investigation {
        investigation_id: check.id.to_string(),
        kind: investigation_kind(check.kind).into(),
        investigator_refs: check.people.iter().map(PersonRef::to_string).collect(),
        finding_code: check.finding_code.clone(),
        evidence_refs: check.evidence_refs.clone(),
        note: check.note.clone(),
        investigated_time: at(check.at),
        signatures: check.signed().map(signature).collect(),
        needed_people: i32::from(needed),
        complete: check.is_complete(needed),
    }
}

fn review(review: &Review) -> pb::ApplicationReview {
    pb::ApplicationReview {
        reviewer_ref: review.by.to_string(),
        org_id: review.org.to_string(),
        recommends_grant: review.recommends_grant,
        reason_code: review.reason_code.clone(),
        opinion: review.opinion.clone(),
        reviewed_time: at(review.at),
    }
}

fn returned(returned: &ReturnedReview) -> pb::ReturnedReview {
    pb::ReturnedReview {
        review: Some(review(&returned.review)),
        decider_ref: returned.by.to_string(),
        org_id: returned.org.to_string(),
        reason_code: returned.reason_code.clone(),
        explanation: returned.explanation.clone(),
        returned_time: at(returned.at),
    }
}

fn notice(notice: &Notice, case: &Case, now: Timestamp) -> pb::NoticePeriod {
    let shown = case.application.as_ref().and_then(|face| face.notice.as_ref());
    pb::NoticePeriod {
        notice_id: notice.id.to_string(),
        first_day: day(notice.first_day),
        last_day: day(notice.last_day().max(notice.first_day)),
        current: shown.is_some_and(|shown| shown.id == notice.id && now < shown.over_at),
        calendar_version: version(notice.calendar_version),
    }
}

/// A version of the calendar; empty where an earlier release kept none.
fn version(number: u32) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn objection(objection: &NoticeObjection) -> pb::NoticeObjection {
    pb::NoticeObjection {
        ground_code: objection.ground_code.clone(),
        text: objection.text.clone(),
        objected_time: at(objection.at),
    }
}

fn ruling(ruling: &Determination) -> pb::ApplicationDecision {
    pb::ApplicationDecision {
        outcome: application_outcome(ruling.outcome).into(),
        decider_ref: ruling.by.to_string(),
        org_id: ruling.org.to_string(),
        reason_code: ruling.reason_code.clone(),
        written_reason: ruling.written_reason.clone(),
        remedies: ruling.remedies.iter().map(remedy).collect(),
        amount_fen: ruling.amount_fen,
        urgent: ruling.urgent,
        decided_time: at(ruling.at),
    }
}

fn remedy(remedy: &Remedy) -> pb::Remedy {
    let code = match remedy.kind {
        RemedyKind::Reconsideration => "remedy_reconsideration",
        RemedyKind::Litigation => "remedy_litigation",
    };
    let until = Reason::new(code).with("until", day(calendar::local_day(remedy.due_at)));
    pb::Remedy {
        kind: remedy_kind(remedy.kind).into(),
        body: remedy.body.clone(),
        due_time: at(remedy.due_at),
        reason: Some(reason(&until)),
    }
}

fn uncounted(period: &UncountedPeriod) -> pb::UncountedPeriod {
    pb::UncountedPeriod {
        cause_code: period.cause_code.clone(),
        told_ref: period.told_ref.clone(),
        start_time: at(period.since),
    }
}

/// What everybody may see: this list is the whitelist (C-9).
pub fn public_notice(notice: notices::PublicNotice, world: &World) -> pb::PublicNotice {
    let (item_zh, item_en) = world.item_names(&notice.item_code);
    let unit = notice.unit_path.last().and_then(|unit| world.topology.unit(*unit));
    let last_day = calendar::local_day(notice.over_at - TimeDelta::microseconds(1));
    pb::PublicNotice {
        notice_id: notice.notice_id.to_string(),
        name_masked: notice.name_masked,
        unit_id: text(notice.unit_path.last()),
        unit_name_zh: unit.as_ref().map(|unit| unit.name_zh.clone()).unwrap_or_default(),
        unit_name_en: unit.as_ref().map(|unit| unit.name_en.clone()).unwrap_or_default(),
        item_name_zh: item_zh.to_owned(),
        item_name_en: item_en.to_owned(),
        item_code: notice.item_code,
        first_day: day(notice.first_day),
        last_day: day(last_day),
    }
}
