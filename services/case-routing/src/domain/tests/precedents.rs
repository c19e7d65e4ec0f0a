//! C-8: that a ruling becomes a precedent is never retroactive on statistics. Two worlds live through the same random history:
//! in one the rulings bind later cases, in the other they do not. What is told of the ruled case, and of cases that were there
//! before the precedent's day, is the same in both.

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use proptest::prelude::*;

use super::super::*;
use super::attempts::{Attempt, ITEMS, Verb, attempt};
use super::history::{attempts, born};
use super::table::in_arbitration;
use super::world::*;

/// What was told: the events by name, each with the facts it carries.
type Account = Vec<(&'static str, CaseFacts)>;

fn told(decision: &Decision) -> Account {
    decision.events.iter().map(|emitted| (emitted.event.name(), emitted.facts.clone())).collect()
}

/// A case in its world, and what has been told of it.
struct Life {
    world: World,
    case: Case,
    told: Account,
}

impl Life {
    fn new(mut world: World, begin: impl FnOnce(&mut World) -> Case) -> Self {
        let case = begin(&mut world);
        Self { world, case, told: Account::new() }
    }

    fn follow(&mut self, decided: Result<Option<Decision>>) {
        if let Ok(Some(decision)) = decided {
            self.told.extend(told(&decision));
            self.case = decision.case;
        }
    }

    fn sweep(&mut self) {
        let decided = self.case.clone().tick(&self.world.system());
        assert!(decided.is_ok(), "time never fails");
        self.follow(decided);
    }

    /// Time passes, the sweeper comes, and somebody tries something. Rulings are precedents, or none of them is.
    fn step(&mut self, step: &Attempt, binding: bool) {
        self.world.wait(TimeDelta::minutes(step.wait));
        self.sweep();
        let decided = match step.verb(self.case.state) {
            Verb::Of(Trigger::RuleArbitration) => self.rule(ALL_ORGS[step.pick], binding, false),
            Verb::Of(Trigger::RuleReview) => self.rule(ALL_ORGS[step.pick], binding, true),
            _ => attempt(&mut self.world, self.case.clone(), step),
        };
        self.follow(decided);
    }

    /// The arbiter rules, or the reviewer.
    fn rule(&mut self, lead: OrgId, binding: bool, review: bool) -> Result<Option<Decision>> {
        let tomorrow = calendar::local_day(self.world.now) + Days::new(1);
        let ruling = RuleObjection {
            lead,
            assists: vec![],
            basis_code: "responsibility_list".into(),
            precedent: Some(tomorrow).filter(|_| binding && self.case.item.is_some()),
            interim: None,
            definition: None,
        };
        let objection = self.case.objection.as_ref();
        let arbiter = official(objection.and_then(|objection| objection.arbiter).unwrap_or(GOVERNMENT));
        let case = self.case.clone();
        if review {
            let reviewer = Party { actor: PersonRef("o-review".into()), ..arbiter };
            case.rule_review(&ruling, &self.world.act(reviewer)).map(Some)
        } else {
            case.rule_objection(&ruling, &self.world.act(arbiter)).map(Some)
        }
    }
}

/// The case, whether or not its ruling is a precedent.
fn but_for_the_flag(case: &Case) -> Case {
    let mut case = case.clone();
    if let Some(ruling) = case.objection.as_mut().and_then(|objection| objection.ruling.as_mut()) {
        ruling.precedent = None;
    }
    case
}

/// An arbitration that comes to a ruling, whatever follows.
fn heard(world: &mut World) -> Case {
    let case = in_arbitration(world);
    world.wait(TimeDelta::days(3));
    world.tick(case).case
}

/// The instant at which a local day begins.
fn midnight(day: NaiveDate) -> Timestamp {
    calendar::instant(day, NaiveTime::MIN)
}

/// The lists after a precedent was taken over: `lead` leads the item from a day on, `relieved` does not.
fn with_precedent(item: &str, lead: OrgId, relieved: OrgId, from: NaiveDate) -> TableParts {
    let valid_from = midnight(from);
    let mut parts = parts();
    let part = if [STATION, COMMITTEE].contains(&lead) { ListPart::StatutoryDuty } else { ListPart::Lead };
    parts.entries.push(ResponsibilityEntry { valid_from, ..entry("p-lead", item, lead, part) });
    let negative = entry("p-negative", item, relieved, ListPart::Negative);
    parts.entries.push(ResponsibilityEntry { valid_from, ..negative });
    parts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn of_a_ruled_case_the_same_is_told_whether_or_not_the_ruling_binds_others(
        history in attempts(), lead in 0..ALL_ORGS.len(),
    ) {
        let (mut plain, mut binding) = (Life::new(World::new(), heard), Life::new(World::new(), heard));
        let ruled = (plain.rule(ALL_ORGS[lead], false, false), binding.rule(ALL_ORGS[lead], true, false));
        prop_assert_eq!(ruled.0.is_ok(), ruled.1.is_ok());
        plain.follow(ruled.0);
        binding.follow(ruled.1);
        for step in &history {
            prop_assert_eq!(&plain.told, &binding.told);
            prop_assert_eq!(plain.case.facts(), binding.case.facts());
            prop_assert_eq!(&but_for_the_flag(&binding.case), &plain.case);
            prop_assert_eq!(plain.case.next_timer_at(), binding.case.next_timer_at());
            plain.step(step, false);
            binding.step(step, true);
        }
        prop_assert_eq!(&plain.told, &binding.told);
        prop_assert_eq!(&but_for_the_flag(&binding.case), &plain.case);
    }

    #[test]
    fn of_cases_before_its_day_the_same_is_told_whether_or_not_the_lists_know_of_a_precedent(
        history in attempts(), item in 0..ITEMS.len(),
        orgs in (0..ALL_ORGS.len(), 0..ALL_ORGS.len()),
    ) {
        let lived: i64 = history.iter().map(|step| step.wait).sum();
        let without = World::new();
        let over = calendar::local_day(without.now + TimeDelta::minutes(lived)) + Days::new(1);
        let item = ITEMS[item];
        let with = World::of(with_precedent(item, ALL_ORGS[orgs.0], ALL_ORGS[orgs.1], over));
        let mut plain = Life::new(without, |world| born(world, &history));
        let mut binding = Life::new(with, |world| born(world, &history));
        for step in &history {
            prop_assert_eq!(plain.case.facts(), binding.case.facts());
            plain.step(step, false);
            binding.step(step, true);
        }
        prop_assert_eq!(&plain.told, &binding.told);
        prop_assert_eq!(plain.case.facts(), binding.case.facts());
        // The day comes: what was told of the past stands, and what the case is counted as is what was told last.
        let before = binding.case.facts();
        binding.world.now = midnight(over);
        prop_assert_eq!(binding.case.facts(), before);
    }
}

#[test]
fn the_precedents_of_these_histories_are_real() {
    let mut life = Life::new(World::new(), heard);
    let ruled = life.rule(HOUSING, true, false);
    life.follow(ruled);
    let ruling = life.case.objection.as_ref().unwrap().ruling.clone().unwrap();
    assert_eq!(ruling.precedent, Some(calendar::local_day(life.world.now) + Days::new(1)));
    assert_ne!(but_for_the_flag(&life.case), life.case);
    let from = NaiveDate::from_ymd_opt(2026, 9, 1).unwrap();
    let mut world = World::of(with_precedent("street_light", HOUSING, STREET_OFFICE, from));
    assert_eq!(world.dispatched("street_light").lead_org, Some(STREET_OFFICE));
    world.now = midnight(from);
    assert_ne!(world.dispatched("street_light").lead_org, Some(STREET_OFFICE), "from its day on it binds");
}
