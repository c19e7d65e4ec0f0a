//! Lasting benefits that end outside of a re-check: somebody moved away, died, or gave it up.

use chrono::{Days, TimeDelta};

use super::super::*;
use super::application_world::*;
use super::benefit::{begin, delivered};
use super::world::*;

fn clerk() -> Party {
    person("window", STATION)
}

fn code(result: Result<Filed>) -> &'static str {
    guard(result.map(|filed| filed.decision))
}

#[test]
fn who_is_gone_or_gave_it_up_is_told_in_writing_with_remedies_and_of_a_death_nobody_is() {
    for ground in BenefitGround::ALL {
        let mut world = world();
        let way = Way::of(delivered(&mut world, LASTING));
        world.wait(TimeDelta::days(30));
        let command = gone(*ground, world.now);
        let (papers, case) = (way.papers.clone(), way.case.clone());
        let filed = papers.end_benefit(&command, case, &world.act(clerk())).unwrap();
        let ended = BenefitChange {
            benefit: way.papers.id,
            version: 2,
            tag_code: "dibao".into(),
            news: BenefitNews::Ended { reason_code: "ended".into() },
        };
        assert_eq!(filed.benefit, Some(ended));
        let kept = filed.application.ending.as_ref().unwrap();
        assert_eq!((kept.ground, kept.on, kept.org), (*ground, command.on, STATION));
        assert_eq!((&kept.by, kept.at), (&PersonRef("window".into()), world.now));
        let kinds: Vec<RemedyKind> = kept.remedies.iter().map(|remedy| remedy.kind).collect();
        let both = [RemedyKind::Reconsideration, RemedyKind::Litigation];
        assert_eq!(kinds, if ground.is_told() { both.to_vec() } else { Vec::new() });
        assert!(kept.remedies.iter().all(|remedy| remedy.due_at > world.now));

        // The case moves by a step that people read; nobody is told of it.
        assert!(filed.decision.events.is_empty());
        let [step] = &filed.decision.timeline[..] else { panic!("{:?}", filed.decision.timeline) };
        assert_eq!((step.event.as_str(), step.case_version), ("BenefitEnded", way.case.version + 1));
        // Of the ground and the day it tells nothing: they are sealed with the papers.
        let reason = step.reason.as_ref().unwrap();
        assert_eq!(reason, &Reason::new("benefit_ended"));
        assert_eq!(reason.render(Language::English), "the benefit has ended");
        assert_eq!(violations(&filed.decision.case), Vec::<&str>::new());

        let (papers, case) = (filed.application, filed.decision.case);
        assert_eq!(code(papers.end_benefit(&command, case, &world.act(clerk()))), "benefit_ended");
    }
}

#[test]
fn a_human_says_so_for_a_day_that_has_come_and_in_words() {
    let mut world = world();
    let way = Way::of(delivered(&mut world, LASTING));
    let mut refused = |command: &EndBenefit, by: Party| {
        code(way.papers.clone().end_benefit(command, way.case.clone(), &world.act(by)))
    };
    let now = at("2026-09-01T09:00:00");
    let (moved, died) = (gone(BenefitGround::MovedAway, now), gone(BenefitGround::Died, now));
    assert_eq!(refused(&moved, clerk()), "ended_on");
    let today = at("2026-06-08T09:00:00");
    let on = calendar::local_day(today);
    let (moved, died) = (EndBenefit { on, ..moved }, EndBenefit { on, ..died });
    assert_eq!(refused(&moved, Party::system()), "human_official");
    assert_eq!(refused(&moved, person("hugo", HOUSING)), "in_charge");
    assert_eq!(refused(&EndBenefit { statement: "迁出".into(), ..moved.clone() }, clerk()), "statement");
    assert_eq!(refused(&EndBenefit { court: String::new(), ..moved.clone() }, clerk()), "court");
    let body = EndBenefit { reconsideration_body: "区".into(), ..moved.clone() };
    assert_eq!(refused(&body, clerk()), "reconsideration_body");
    let heard = EndBenefit { court: "江汉区人民法院".into(), ..died };
    assert_eq!(refused(&heard, clerk()), "court");
    let tomorrow = EndBenefit { on: on.checked_add_days(Days::new(365)).unwrap(), ..moved.clone() };
    assert_eq!(refused(&tomorrow, clerk()), "ended_on");

    // What does not last cannot end, nor what was not granted.
    let once = world.way(ALLOWANCE, ApplicationState::Delivered);
    assert_eq!(code(once.papers.end_benefit(&moved, once.case, &world.act(clerk()))), "no_benefit");
    let open = world.way(LASTING, ApplicationState::Reviewed);
    assert_eq!(code(open.papers.end_benefit(&moved, open.case, &world.act(clerk()))), "application_state");
}

#[test]
fn an_open_recheck_has_nothing_to_decide_any_more_and_ends_with_the_benefit() {
    let mut world = world();
    let basis = Way::of(delivered(&mut world, LASTING));
    let benefit = basis.papers.id;
    let begun = Way::of(begin(&mut world, &basis, LASTING, 2).unwrap());
    // Whoever was merged into it is taken out first.
    let mut joined = begun.clone();
    joined.case.merged.push(benefit);
    let looked = begun.clone();
    let looked = looked.then(|p, c| p.start_investigation(c, &world.act(person("lead", STREET_OFFICE))));
    let reviewed = world.reviewed(looked.clone(), true);
    let approved = reviewed.clone();
    let approved = approved.then(|p, c| p.approve(90, c, &world.act(person("dora", STREET_OFFICE))));
    for way in [begun, looked, reviewed, approved] {
        let other = way.papers.clone().lapse(way.case.id, way.case.clone(), &world.act(clerk()));
        assert_eq!(code(other), "recheck");
        let filed = way.papers.lapse(benefit, way.case, &world.act(clerk())).unwrap();
        assert_eq!(filed.benefit, None, "the benefit is ended by the papers that began it");
        assert_eq!(names(&filed.decision).last(), Some(&"CaseWithdrawn"));
        let case = filed.decision.case;
        assert_eq!((case.state, case.closed_code), (CaseState::Withdrawn, Some(ClosedCode::Withdrawn)));
        let face = case.application.as_ref().unwrap();
        assert_eq!(face.state, ApplicationState::Withdrawn);
        assert!(case.tasks.iter().all(|task| !task.state.is_live()));
        assert_eq!(violations(&case), Vec::<&str>::new());
    }
    let waits = joined.papers.lapse(benefit, joined.case, &world.act(clerk()));
    assert_eq!(code(waits), "others_joined");
    let decided = basis.papers.lapse(benefit, basis.case, &world.act(clerk()));
    assert_eq!(code(decided), "application_state");
}
