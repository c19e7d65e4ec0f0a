//! Applications: every state × every verb against the table, and what the table cannot say.

use std::collections::HashSet;

use chrono::TimeDelta;

use super::super::ApplicationState as S;
use super::super::ApplicationVerb as V;
use super::super::*;
use super::application_world::*;
use super::benefit::delivered;
use super::world::*;

/// Where a verb needs more than the state, the application is prepared for it.
fn prepared(world: &mut World, state: S, verb: V) -> Way {
    match (state, verb) {
        (S::Approved, V::SubmitPapers) => world.urgent(),
        (S::Delivered, V::SubmitPapers) => {
            let way = world.urgent();
            way.then(|p, c| p.deliver("pay:1", holder(), c, &world.act(person("lead", STREET_OFFICE))))
        }
        (S::Delivered, V::EndBenefit) => Way::of(delivered(world, LASTING)),
        (S::PublicNotice | S::Reinvestigating, _) => {
            let way = world.way(RELIEF, state);
            if matches!(verb, V::Approve | V::Deny) {
                world.after_notice();
            }
            way
        }
        (S::Reviewed, V::PublishNotice) | (S::Accepted | S::Investigating, V::GrantUrgently) => {
            world.way(RELIEF, state)
        }
        (S::Investigating, V::Review | V::CountersignInvestigation) => {
            let way = world.way(ALLOWANCE, state);
            let home = check(InvestigationKind::HomeVisit);
            way.then(|p, c| p.record_investigation(home, c, &world.act(person("anna", STATION))))
        }
        _ => world.way(ALLOWANCE, state),
    }
}

fn attempt(world: &mut World, way: Way, verb: V) -> Result<Way> {
    let Way { papers, case } = way;
    let lead = person("dora", STREET_OFFICE);
    let checks = papers.investigations.last().map(|check| check.id);
    let filed = match verb {
        V::Submit => unreachable!("a new application comes from nowhere"),
        V::Accept => papers.accept(case, &world.official(STATION)),
        V::AcceptBySilence | V::SupplementExpired => {
            // Every timer that is due fires; whether this one was among them is seen by what it tells.
            world.wait(TimeDelta::days(10));
            let before = case.application.clone();
            let silence = |told: &Emitted| {
                matches!(
                    &told.event,
                    DomainEvent::Application { news: ApplicationNews::Accepted { by_silence: true, .. } }
                )
            };
            let ticked = case.clone().tick(&world.system()).unwrap();
            let ticked = ticked.filter(|ticked| ticked.events.iter().any(silence));
            let wanted = if verb == V::AcceptBySilence { S::Submitted } else { S::NeedSupplement };
            let fits = before.is_some_and(|face| face.state == wanted);
            return match ticked.filter(|_| fits) {
                Some(decision) => Ok(Way { papers, case: decision.case }),
                None => Err(DomainError::guard("application_state", "nothing was due")),
            };
        }
        V::RequestSupplement => papers.request_supplement(vec!["id".into()], case, &world.official(STATION)),
        V::Supplement => papers.supplement(brought(), case, &world.resident()),
        V::Decline => papers.decline(&refusal(), case, &world.official(STATION)),
        V::StartInvestigation => papers.start_investigation(case, &world.act(lead)),
        V::RecordInvestigation => {
            let panel = check(InvestigationKind::Panel);
            papers.record_investigation(panel, case, &world.act(person("anna", STATION)))
        }
        V::CountersignInvestigation => {
            let id = checks.unwrap_or_else(|| InvestigationId(world.fresh()));
            papers.countersign_investigation(id, case, &world.act(person("carl", STATION)))
        }
        V::Review => {
            let papers = match case.application.as_ref().map(|face| face.state) {
                Some(S::Reinvestigating) => {
                    let again = check(InvestigationKind::Letter);
                    let way = Way { papers, case }
                        .then(|p, c| p.record_investigation(again, c, &world.act(person("anna", STATION))));
                    return way.papers.review(summed_up(true), way.case, &world.act(lead)).map(Way::of);
                }
                _ => papers,
            };
            papers.review(summed_up(true), case, &world.act(lead))
        }
        V::ReturnReview => papers.return_review("see_again", String::new(), case, &world.act(lead)),
        V::PublishNotice => papers.publish_notice("王**".into(), case, &world.act(lead)),
        V::Object => papers.object("income", "他家有车".into(), case, &world.resident()),
        V::Approve => papers.approve(1, case, &world.act(lead)),
        V::Deny => papers.deny(&refusal(), case, &world.act(lead)),
        V::GrantUrgently => papers.grant_urgently(1, "sudden_illness", case, &world.act(lead)),
        V::Deliver => papers.deliver("pay:1", holder(), case, &world.act(lead)),
        V::SubmitPapers => papers.submit_papers(brought(), case, &world.resident()),
        V::Pause => papers.pause(("expert_review", "doc:told"), None, case, &world.act(lead)),
        V::Withdraw => papers.withdraw("not_needed", None, case, &world.resident()),
        V::EndBenefit => {
            let ended = gone(BenefitGround::GivenUp, world.now);
            papers.end_benefit(&ended, case, &world.act(lead))
        }
    };
    filed.map(Way::of)
}

#[test]
fn every_verb_does_in_every_state_what_the_table_says_and_nothing_else() {
    let mut taken = HashSet::new();
    for state in S::ALL {
        for verb in V::ALL.iter().filter(|verb| **verb != V::Submit) {
            let mut world = world();
            let way = prepared(&mut world, *state, *verb);
            assert_eq!(way.state(), *state);
            let rows: Vec<S> = APPLICATION_TRANSITIONS
                .iter()
                .filter(|(from, _, by)| *from == Some(*state) && by == verb)
                .map(|(_, to, _)| *to)
                .collect();
            match attempt(&mut world, way, *verb) {
                Ok(after) => {
                    assert!(rows.contains(&after.state()), "{state} {verb} led to {}", after.state());
                    assert_eq!(violations(&after.case), Vec::<String>::new(), "{state} {verb}");
                    taken.insert((*state, after.state(), *verb));
                }
                Err(DomainError::Guard { code: "application_state", .. }) => {
                    assert!(rows.is_empty(), "{state} {verb} is on the table");
                }
                Err(other) => panic!("{state} {verb}: {other}"),
            }
        }
    }
    // What depends on the way here, or on the item.
    let mut world = world();
    let way = world.way(RELIEF, S::Reinvestigating);
    let way = world.reviewed(way, false);
    let dora = person("dora", STREET_OFFICE);
    let way = way.then(|p, c| p.return_review("see_again", String::new(), c, &world.act(dora)));
    taken.insert((S::Reviewed, way.state(), V::ReturnReview));
    let way = world.way(PERMIT, S::NeedSupplement);
    world.wait(TimeDelta::days(30));
    let way = way.tick(&mut world);
    assert_eq!((way.state(), way.case.state), (S::Withdrawn, CaseState::Withdrawn));
    taken.insert((S::NeedSupplement, S::Withdrawn, V::SupplementExpired));
    for (from, to, by) in
        APPLICATION_TRANSITIONS.iter().filter_map(|(from, to, by)| Some(((*from)?, *to, *by)))
    {
        assert!(taken.contains(&(from, to, by)), "nobody took {from} → {to} by {by}");
    }
}

fn code(result: Result<Filed>) -> &'static str {
    guard(result.map(|filed| filed.decision))
}

#[test]
fn only_what_is_applied_for_becomes_an_application_and_a_committee_enters_it_by_proxy() {
    let mut world = world();
    assert_eq!(code(submit(&mut world, "street_light")), "item_code");
    assert_eq!(code(submit(&mut world, "court_matter")), "item_code");
    let register = RegisterCase { item_code: Some(RELIEF.into()), ..world.register() };
    let command = SubmitApplication { register, material_refs: vec![], authorisation_ref: None };
    let nobody = SubmitApplication {
        register: RegisterCase { requester: None, ..command.register.clone() },
        ..command.clone()
    };
    assert_eq!(code(Application::submit(nobody, &world.official(STATION))), "requester_id");
    let filed = Application::submit(command, &world.official(COMMITTEE)).unwrap();
    assert_eq!(filed.application.proxy, Some(COMMITTEE));
    assert_eq!(names(&filed.decision), ["CaseRegistered"]);
}

#[test]
fn the_case_follows_and_does_nothing_past_its_application() {
    let mut world = world();
    let way = world.way(RELIEF, S::Submitted);
    for refused in [
        way.case.clone().accept(&world.official(STATION)),
        way.case.clone().decline("out_of_scope", "petition", &world.official(STATION)),
        way.case.clone().request_supplement(vec!["id".into()], &world.official(STATION)),
        way.case.clone().withdraw("not_needed", None, &world.resident()),
        way.case.clone().merge(CaseId(world.fresh()), &world.official(STATION)),
    ] {
        assert_eq!(guard(refused), "application");
    }
    world.wait(TimeDelta::days(30));
    let silent = world.tick(way.case).case;
    let other = silent.clone().triage(&triage("stairs"), &world.official(STATION));
    assert_eq!(guard(other), "application", "another matter is applied for anew");
    silent.triage(&triage(RELIEF), &world.official(STATION)).unwrap();
    let way = world.way(RELIEF, S::Accepted);
    assert_eq!((way.case.state, way.case.lead_org), (CaseState::Dispatched, Some(STREET_OFFICE)));
    let way = world.way(RELIEF, S::Investigating);
    assert_eq!(way.case.state, CaseState::InProgress);
    assert_eq!(guard(way.case.clone().complete(done(), &world.official(STREET_OFFICE))), "application");
    let refused =
        way.case.clone().suspend("season_condition", "doc:told", None, &world.official(STREET_OFFICE));
    assert_eq!(guard(refused), "application");

    let way = world.way(ALLOWANCE, S::Delivered);
    assert_eq!((way.case.state, way.case.closed_code), (CaseState::Verifying, Some(ClosedCode::Resolved)));
    assert_eq!(way.case.delivery_mode, Some(DeliveryMode::GovDirect));
    let way = world.way(ALLOWANCE, S::Denied);
    assert_eq!((way.case.state, way.case.closed_code), (CaseState::Verifying, Some(ClosedCode::Explained)));
    let way = world.way(ALLOWANCE, S::NotAccepted);
    assert_eq!((way.case.state, way.case.closed_code), (CaseState::NotAccepted, Some(ClosedCode::Declined)));

    // Delivered, and found wanting: the case is worked on again and completed as any other.
    let way = world.way(ALLOWANCE, S::Delivered);
    let case = way.case.order_rework("not_paid", &world.official(VERIFIER)).unwrap().case;
    assert_eq!(case.state, CaseState::InProgress);
    assert_eq!(world.complete(case).state, CaseState::Verifying);
}

#[test]
fn what_is_missing_is_asked_for_once_and_silence_accepts() {
    let mut world = world();
    let way = world.way(RELIEF, S::NeedSupplement);
    let way = way.then(|p, c| p.supplement(brought(), c, &world.resident()));
    assert_eq!((way.state(), way.case.state), (S::Accepted, CaseState::Dispatched));
    assert_eq!(way.papers.missing, ["income_proof"]);
    let again = way.papers.request_supplement(vec!["id".into()], way.case, &world.official(STATION));
    assert_eq!(code(again), "application_state");

    for state in [S::Submitted, S::NeedSupplement] {
        let way = world.way(RELIEF, state);
        world.wait(TimeDelta::days(30));
        let ticked = world.tick(way.case);
        assert!(names(&ticked).contains(&"ApplicationAccepted"), "{:?}", names(&ticked));
        assert_eq!(ticked.case.application.unwrap().state, S::Accepted);
        assert_eq!(ticked.case.state, CaseState::Accepted, "a dispatcher sends it on");
    }
}

#[test]
fn the_family_may_sign_for_data_checks_later() {
    let mut world = world();
    let signed = BroughtPapers { material_refs: vec![], authorisation_ref: Some("doc:family".into()) };
    let asks = |world: &mut World, way: Way| {
        let data = check(InvestigationKind::DataCheck);
        way.papers.record_investigation(data, way.case, &world.act(person("anna", STATION)))
    };
    let nothing = BroughtPapers { authorisation_ref: None, ..signed.clone() };
    let way = world.way(RELIEF, S::NeedSupplement);
    let empty = way.papers.clone().supplement(nothing, way.case.clone(), &world.resident());
    assert_eq!(code(empty), "material_refs");
    let unsigned = way.clone().then(|p, c| p.supplement(brought(), c, &world.resident()));
    let unsigned = unsigned.then(|p, c| p.start_investigation(c, &world.act(person("lead", STREET_OFFICE))));
    assert_eq!(code(asks(&mut world, unsigned)), "not_authorised");
    let way = way.then(|p, c| p.supplement(signed.clone(), c, &world.resident()));
    let way = way.then(|p, c| p.start_investigation(c, &world.act(person("lead", STREET_OFFICE))));
    asks(&mut world, way).unwrap();

    // With the papers of an urgent grant; others that come without it leave it on file.
    let way = world.urgent();
    let way = way.then(|p, c| p.submit_papers(signed, c, &world.resident()));
    assert_eq!(way.papers.authorisation_ref.as_deref(), Some("doc:family"));
    let mut papers = way.papers;
    super::super::application_intake::add_papers(&mut papers, brought()).unwrap();
    assert_eq!(papers.authorisation_ref.as_deref(), Some("doc:family"));
}

#[test]
fn a_refusal_is_written_with_reasons_and_remedies_by_a_human_who_did_not_investigate() {
    let mut world = world();
    let way = world.way(RELIEF, S::Investigating);
    let way = world.reviewed(way, false);
    let deny = |world: &mut World, refusal: Refusal, by: Party| {
        let way = way.clone();
        way.papers.deny(&refusal, way.case, &world.act(by))
    };
    assert_eq!(code(deny(&mut world, refusal(), person("anna", STREET_OFFICE))), "investigator");
    assert_eq!(code(deny(&mut world, refusal(), person("ben", STREET_OFFICE))), "investigator");
    assert_eq!(code(deny(&mut world, refusal(), Party::system())), "human_official");
    assert_eq!(code(deny(&mut world, refusal(), person("dora", HOUSING))), "lead_org");
    let dora = || person("dora", STREET_OFFICE);
    let short = Refusal { written_reason: "不符合".into(), ..refusal() };
    assert_eq!(code(deny(&mut world, short, dora())), "written_reason");
    let nowhere = Refusal { reconsideration_body: " ".into(), ..refusal() };
    assert_eq!(code(deny(&mut world, nowhere, dora())), "reconsideration_body");
    let no_court = Refusal { court: String::new(), ..refusal() };
    assert_eq!(code(deny(&mut world, no_court, dora())), "court");
    let filed = deny(&mut world, refusal(), dora()).unwrap();
    let told = names(&filed.decision);
    assert!(told.starts_with(&["ApplicationDecided", "TaskSubmitted", "CaseCompleted"]), "{told:?}");
    let ruling = filed.application.ruling.unwrap();
    let due: Vec<String> =
        ruling.remedies.iter().map(|remedy| calendar::local_day(remedy.due_at).to_string()).collect();
    assert_eq!(due, ["2026-08-07", "2026-12-08"], "60 days, and six months");

    // Intake refuses in the same way, and no machine does.
    let way = world.way(RELIEF, S::Submitted);
    let declined = way.papers.clone().decline(&refusal(), way.case.clone(), &world.system());
    assert_eq!(code(declined), "human_official");
    let filed = way.papers.decline(&refusal(), way.case, &world.official(STATION)).unwrap();
    assert_eq!(filed.application.ruling.unwrap().remedies.len(), 2);
}

#[test]
fn who_decides_has_a_review_made_again_and_what_was_found_still_counts() {
    let mut world = world();
    let way = world.way(RELIEF, S::Investigating);
    let way = world.reviewed(way, false);
    let (dora, due_at) = (|| person("dora", STREET_OFFICE), way.case.resolve_clock().unwrap().due_at);
    let back = |world: &mut World, why: &str, by: Party| {
        let Way { papers, case } = way.clone();
        papers.return_review(why, "存款已于上月取出".into(), case, &world.act(by))
    };
    assert_eq!(code(back(&mut world, "see_again", person("anna", STREET_OFFICE))), "investigator");
    assert_eq!(code(back(&mut world, "see_again", person("dora", HOUSING))), "lead_org");
    assert_eq!(code(back(&mut world, "see_again", Party::system())), "human_official");
    assert_eq!(code(back(&mut world, "Not a code", dora())), "reason_code");
    let filed = back(&mut world, "see_again", dora()).unwrap();
    let told = ApplicationNews::ReviewReturned { reason_code: "see_again".into() };
    assert_eq!(filed.decision.events[0].event, DomainEvent::Application { news: told });
    let way = Way::of(filed);
    assert_eq!((way.state(), &way.papers.review), (S::Investigating, &None));
    let [returned] = &way.papers.returned[..] else { panic!("{:?}", way.papers.returned) };
    assert!(!returned.review.recommends_grant && returned.by.to_string() == "dora");
    assert_eq!(way.case.resolve_clock().unwrap().due_at, due_at, "the limit goes on");
    let unreviewed = way.papers.clone().approve(1, way.case.clone(), &world.act(dora()));
    assert_eq!(code(unreviewed), "application_state");

    // Summed up anew by what was found: now it can be shown, and granted.
    let rita = person("rita", STREET_OFFICE);
    let way = way.then(|p, c| p.review(summed_up(true), c, &world.act(rita)));
    let way = way.then(|p, c| p.publish_notice("王**".into(), c, &world.act(dora())));
    world.after_notice();
    let way = way.then(|p, c| p.approve(1, c, &world.act(dora())));
    assert_eq!((way.state(), way.papers.returned.len()), (S::Approved, 1));

    let way = world.way(ALLOWANCE, S::Reviewed);
    let way = way.then(|p, c| p.pause(("expert_review", "doc:told"), None, c, &world.act(dora())));
    let paused = way.papers.return_review("see_again", String::new(), way.case, &world.act(dora()));
    assert_eq!(code(paused), "paused");
}

#[test]
fn facts_are_looked_into_by_as_many_as_the_item_asks_and_summed_up_by_another() {
    let mut world = world();
    let way = world.way(RELIEF, S::Investigating);
    let sum_up = |world: &mut World, way: &Way, name: &str| {
        let way = way.clone();
        way.papers.review(summed_up(true), way.case, &world.act(person(name, STREET_OFFICE)))
    };
    assert_eq!(code(sum_up(&mut world, &way, "rita")), "not_investigated");
    let data = check(InvestigationKind::DataCheck);
    let unasked = way.clone();
    let refused =
        unasked.papers.record_investigation(data, unasked.case, &world.act(person("anna", STATION)));
    assert_eq!(code(refused), "not_authorised");
    let home = check(InvestigationKind::HomeVisit);
    let way = way.then(|p, c| p.record_investigation(home, c, &world.act(person("anna", STATION))));
    assert_eq!(code(sum_up(&mut world, &way, "rita")), "field_check_by_more");
    let id = way.papers.investigations[0].id;
    let again = way.clone();
    let refused = again.papers.countersign_investigation(id, again.case, &world.act(person("anna", STATION)));
    assert_eq!(code(refused), "signed_already");
    let way = way.then(|p, c| p.countersign_investigation(id, c, &world.act(person("ben", STATION))));
    assert_eq!(code(sum_up(&mut world, &way, "ben")), "investigator");
    sum_up(&mut world, &way, "rita").unwrap();
    let signed: Vec<_> = way.papers.investigations[0].signed().collect();
    assert_eq!(signed.len(), 2, "who went, and for whom");
    assert!(signed.iter().all(|(_, signature)| signature.is_some_and(|known| known.org == STATION)));

    // After an objection a visit by one counts for nothing, though two made one before.
    let way = world.way(RELIEF, S::PublicNotice);
    world.wait(TimeDelta::hours(1));
    let way = way.then(|p, c| p.object("income", "他家有车".into(), c, &world.resident()));
    let home = check(InvestigationKind::HomeVisit);
    let way = way.then(|p, c| p.record_investigation(home, c, &world.act(person("anna", STATION))));
    assert_eq!(code(sum_up(&mut world, &way, "rita")), "field_check_by_more");
    let id = way.papers.investigations[1].id;
    let way = way.then(|p, c| p.countersign_investigation(id, c, &world.act(person("ben", STATION))));
    sum_up(&mut world, &way, "rita").unwrap();
}

#[test]
fn where_the_item_asks_for_one_checker_somebody_goes_there() {
    let mut world = world();
    let rita = || person("rita", STREET_OFFICE);
    let way = world.way(VISITED, S::Investigating);
    let panel = check(InvestigationKind::Panel);
    let way = way.then(|p, c| p.record_investigation(panel, c, &world.act(person("anna", STATION))));
    let unseen = way.clone();
    let unseen = unseen.papers.review(summed_up(true), unseen.case, &world.act(rita()));
    assert_eq!(code(unseen), "field_check_by_more");
    let home = check(InvestigationKind::HomeVisit);
    let way = way.then(|p, c| p.record_investigation(home, c, &world.act(person("anna", STATION))));
    way.then(|p, c| p.review(summed_up(true), c, &world.act(rita())));

    // Where it asks for none, a letter will do.
    let way = world.way(ALLOWANCE, S::Investigating);
    let letter = check(InvestigationKind::Letter);
    let way = way.then(|p, c| p.record_investigation(letter, c, &world.act(person("anna", STATION))));
    way.then(|p, c| p.review(summed_up(true), c, &world.act(rita())));
}

#[test]
fn checks_of_before_signatures_were_kept_are_read_with_those_that_came_later() {
    let mut world = world();
    let way = world.way(RELIEF, S::Investigating);
    let home = check(InvestigationKind::HomeVisit);
    let way = way.then(|p, c| p.record_investigation(home, c, &world.act(person("anna", STATION))));
    let mut stored = serde_json::to_value(&way.papers).unwrap();
    stored["investigations"][0].as_object_mut().unwrap().remove("signatures").unwrap();
    for key in ["benefit", "recheck"] {
        stored.as_object_mut().unwrap().remove(key).unwrap();
    }
    let papers: Application = serde_json::from_value(stored).unwrap();
    let id = papers.investigations[0].id;
    let way = Way { papers, ..way };
    let way = way.then(|p, c| p.countersign_investigation(id, c, &world.act(person("ben", STATION))));
    let signed: Vec<_> = way.papers.investigations[0].signed().collect();
    let shown = |n: usize| (signed[n].0.to_string(), signed[n].1.map(|known| known.org));
    assert_eq!([shown(0), shown(1)], [("anna".to_owned(), None), ("ben".to_owned(), Some(STATION))]);
}

#[test]
fn a_notice_is_shown_to_its_last_day_and_an_objection_takes_it_down() {
    let mut world = world();
    let way = world.way(RELIEF, S::Reviewed);
    let dora = || person("dora", STREET_OFFICE);
    let early = way.papers.clone().approve(1, way.case.clone(), &world.act(dora()));
    assert_eq!(code(early), "notice_needed");
    let way = world.way(RELIEF, S::PublicNotice);
    let notice = way.papers.notices[0].clone();
    // Monday 8 June and seven days: a Monday.
    assert_eq!(
        (notice.first_day.to_string(), notice.last_day().to_string()),
        ("2026-06-08".into(), "2026-06-15".into())
    );
    assert!(way.case.next_timer_at().unwrap() <= notice.over_at);
    assert_eq!(code(way.papers.clone().approve(1, way.case.clone(), &world.act(dora()))), "notice_runs");
    assert_eq!(
        code(way.papers.clone().deny(&refusal(), way.case.clone(), &world.act(dora()))),
        "notice_runs"
    );

    world.now = notice.over_at - TimeDelta::microseconds(1);
    let objected = way.papers.clone().object("income", "x".into(), way.case.clone(), &world.resident());
    let way_back = Way::of(objected.unwrap());
    assert_eq!(way_back.state(), S::Reinvestigating);
    assert_eq!(way_back.case.application.as_ref().unwrap().notice, None);
    let stale = way_back.papers.clone().review(summed_up(true), way_back.case.clone(), &world.act(dora()));
    assert_eq!(code(stale), "not_investigated", "what was found before does not answer the objection");

    world.now = notice.over_at;
    let late = way.papers.clone().object("income", "x".into(), way.case.clone(), &world.resident());
    assert_eq!(code(late), "notice_over", "whether or not the timer has come by");
    let approved = way.papers.clone().approve(1, way.case.clone(), &world.act(dora())).unwrap();
    assert!(names(&approved.decision).contains(&"ApplicationNoticeEnded"));
    let ticked = world.tick(way.case);
    assert!(names(&ticked).contains(&"ApplicationNoticeEnded"));
    assert_eq!(ticked.case.application.as_ref().unwrap().notice, None);
    let way = Way { papers: way.papers, case: ticked.case };
    way.then(|p, c| p.approve(1, c, &world.act(dora())));

    let refused = world.way(RELIEF, S::Investigating);
    let way = world.reviewed(refused, false);
    let shown = way.papers.publish_notice("王**".into(), way.case, &world.act(dora()));
    assert_eq!(code(shown), "not_recommended");
    let way = world.way(ALLOWANCE, S::Reviewed);
    assert_eq!(code(way.papers.publish_notice("王**".into(), way.case, &world.act(dora()))), "no_notice");
    let way = world.way(RELIEF, S::PublicNotice);
    let way = way.then(|p, c| p.withdraw("not_needed", None, c, &world.resident()));
    assert_eq!(way.case.application.unwrap().notice, None);
}

#[test]
fn of_a_name_one_character_is_shown_whatever_its_length() {
    for (name, masked) in
        [("张三", "张**"), ("欧阳小明", "欧**"), (" 阿依古丽·买买提 ", "阿**"), ("Mary-Ann O'Neil", "M**")]
    {
        assert_eq!(masked_name(name).as_deref(), Ok(masked));
    }
    for wrong in ["", "王", "13812345678", "张三420103198001011234", "张三，3栋2单元", &"长".repeat(51)]
    {
        assert!(masked_name(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn small_sums_are_granted_at_once_by_the_street_and_the_papers_follow() {
    let mut world = world();
    let way = world.way(RELIEF, S::Accepted);
    let grant = |world: &mut World, way: &Way, fen: i64, by: Party| {
        let way = way.clone();
        way.papers.grant_urgently(fen, "sudden_illness", way.case, &world.act(by))
    };
    let dora = || person("dora", STREET_OFFICE);
    assert_eq!(code(grant(&mut world, &way, 200_001, dora())), "amount_fen");
    assert_eq!(code(grant(&mut world, &way, 0, dora())), "amount_fen");
    assert_eq!(code(grant(&mut world, &way, 1, Party::system())), "human_official");
    let permit = world.way(PERMIT, S::Accepted);
    assert_eq!(code(grant(&mut world, &permit, 1, person("dora", HOUSING))), "street_decides");
    let allowance = world.way(ALLOWANCE, S::Accepted);
    assert_eq!(code(grant(&mut world, &allowance, 1, dora())), "no_urgent_way");

    let way = world.urgent();
    let due_at = way.papers.papers.as_ref().unwrap().due_at;
    let way = way.then(|p, c| p.deliver("pay:1", holder(), c, &world.act(dora())));
    let in_time = way.clone().then(|p, c| p.submit_papers(brought(), c, &world.resident()));
    assert_eq!(in_time.case.application.unwrap().papers_due_at, None);
    world.now = due_at;
    let ticked = world.tick(way.case);
    let overdue = ticked.case.supervisions.iter().filter(|one| one.reason_code == "papers_overdue");
    assert_eq!(overdue.map(|one| one.level).collect::<Vec<_>>(), [1]);
    // To answer for papers brings none: it rises while they do not come.
    let about_papers = |case: &Case| {
        let mut known = case.supervisions.iter();
        known.find(|one| one.reason_code == "papers_overdue").unwrap().clone()
    };
    let id = about_papers(&ticked.case).id;
    let answered = ticked.case.clone();
    let answered = answered.answer_supervision(id, "under_way", None, &world.official(STREET_OFFICE));
    let answered = answered.unwrap().case;
    world.now = about_papers(&answered).rises_at.unwrap();
    assert_eq!(about_papers(&world.tick(answered).case).level, 2);
    world.now = due_at;
    world.wait(TimeDelta::hours(1));
    let filed = way.papers.submit_papers(brought(), ticked.case, &world.resident()).unwrap();
    let late = ApplicationNews::PapersSubmitted { in_time: false };
    assert_eq!(filed.decision.events[0].event, DomainEvent::Application { news: late });
    assert!(names(&filed.decision).contains(&"SupervisionCleared"));
    let again = filed.application.submit_papers(brought(), filed.decision.case, &world.resident());
    assert_eq!(code(again), "no_papers_due");
}

#[test]
fn listed_periods_told_in_writing_do_not_count_and_nothing_is_decided_in_them() {
    let mut world = world();
    let way = world.way(ALLOWANCE, S::Reviewed);
    let dora = || person("dora", STREET_OFFICE);
    let pause = |world: &mut World, cause: &str| {
        let way = way.clone();
        way.papers.pause((cause, "doc:told"), None, way.case, &world.act(dora()))
    };
    assert_eq!(code(pause(&mut world, "season_condition")), "cause_code", "not one of those the law names");
    let before = way.case.resolve_clock().unwrap().due_at;
    let paused = Way::of(pause(&mut world, "expert_review").unwrap());
    assert_eq!(paused.papers.uncounted[0].told_ref, "doc:told");
    assert_eq!(code(paused.papers.clone().approve(1, paused.case.clone(), &world.act(dora()))), "paused");
    assert_eq!(
        code(paused.papers.clone().deny(&refusal(), paused.case.clone(), &world.act(dora()))),
        "paused"
    );
    world.wait(TimeDelta::days(3));
    let case = paused.case.resume(&world.official(STREET_OFFICE)).unwrap().case;
    assert!(case.resolve_clock().unwrap().due_at > before);
    Way { papers: paused.papers, case }.then(|p, c| p.approve(1, c, &world.act(dora())));
}
