//! Applications in every state, made by the verbs themselves.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

/// Relief: a notice, two people on the spot, an urgent way; led by the street.
pub const RELIEF: &str = "relief";
/// An allowance: no notice, no field check asked for; led by the street.
pub const ALLOWANCE: &str = "allowance";
/// As an allowance, but somebody goes there.
pub const VISITED: &str = "visited";
/// As an allowance, but led by a department, and withdrawn when a supplement does not come.
pub const PERMIT: &str = "permit";
/// A benefit that lasts: a notice, two people on the spot, looked at again every three months; led by the street.
pub const LASTING: &str = "lasting";
/// The same, of an item that ends in the meantime.
pub const ENDING: &str = "ending";
/// The same, of an item that goes to a channel of its own in the meantime.
pub const DIVERTED: &str = "diverted";

pub fn world() -> World {
    World::of(applied_for())
}

/// The district, with what can be applied for.
pub fn applied_for() -> TableParts {
    let mut parts = parts();
    let applied = |code, application| ServiceItem {
        nature: Nature::Application,
        silence: Silence::Accepted,
        application,
        ..item(code, "civil_affairs")
    };
    let relief = ApplicationRules {
        public_notice_days: 7,
        field_checkers: 2,
        urgent_max_fen: 200_000,
        papers_days: 10,
    };
    parts.items.push(applied(RELIEF, relief));
    parts.items.push(applied(ALLOWANCE, ApplicationRules::default()));
    let visited = ApplicationRules { field_checkers: 1, ..ApplicationRules::default() };
    parts.items.push(applied(VISITED, visited));
    let urgent = ApplicationRules { urgent_max_fen: 100, ..ApplicationRules::default() };
    parts.items.push(ServiceItem { silence: Silence::Withdrawn, ..applied(PERMIT, urgent) });
    let benefit = Some(BenefitRule { tag_code: "dibao".into(), review_months: 3 });
    let lasting = ServiceItem { benefit, ..applied(LASTING, relief) };
    let valid_to = Some(at("2026-07-15T00:00:00"));
    parts.items.push(ServiceItem { code: ENDING.into(), valid_to, ..lasting.clone() });
    let diverted = ServiceItem { code: DIVERTED.into(), ..lasting.clone() };
    parts.items.push(ServiceItem {
        version: 2,
        statutory_channel: Some("litigation".into()),
        valid_from: at("2026-07-15T00:00:00"),
        ..diverted.clone()
    });
    parts.items.push(diverted);
    parts.items.push(lasting);
    parts.entries.push(entry("r-relief", RELIEF, STREET_OFFICE, ListPart::Lead));
    parts.entries.push(entry("r-allowance", ALLOWANCE, STREET_OFFICE, ListPart::Lead));
    parts.entries.push(entry("r-visited", VISITED, STREET_OFFICE, ListPart::Lead));
    parts.entries.push(entry("r-permit", PERMIT, HOUSING, ListPart::Lead));
    parts.entries.push(entry("r-lasting", LASTING, STREET_OFFICE, ListPart::Lead));
    parts.entries.push(entry("r-ending", ENDING, STREET_OFFICE, ListPart::Lead));
    parts.entries.push(entry("r-diverted", DIVERTED, STREET_OFFICE, ListPart::Lead));
    parts
}

/// Somebody by name.
pub fn person(name: &str, org: OrgId) -> Party {
    Party { actor: PersonRef(name.into()), org: Some(org), standing: Standing::Official }
}

pub fn refusal() -> Refusal {
    Refusal {
        reason_code: "income_above_standard".into(),
        written_reason: "家庭人均月收入高于本市低保标准，见核对报告第二页。".into(),
        reconsideration_body: "江汉区人民政府".into(),
        court: "江汉区人民法院".into(),
    }
}

/// A benefit in its first version, and how it ended today; the body and the court are told where somebody is.
pub fn gone(ground: BenefitGround, now: Timestamp) -> EndBenefit {
    let told = |body: &str| if ground.is_told() { body.to_owned() } else { String::new() };
    EndBenefit {
        ground,
        on: calendar::local_day(now),
        statement: "居民委员会走访核实，见走访记录。".into(),
        reconsideration_body: told("江汉区人民政府"),
        court: told("江汉区人民法院"),
        in_charge: vec![STATION, STREET_OFFICE],
        tag_code: "dibao".into(),
        version: 1,
    }
}

pub fn check(kind: InvestigationKind) -> RecordInvestigation {
    RecordInvestigation {
        kind,
        finding_code: "as_stated".into(),
        evidence_refs: vec!["photo:1".into()],
        note: String::new(),
    }
}

pub fn summed_up(recommends_grant: bool) -> ReviewApplication {
    ReviewApplication { recommends_grant, reason_code: "facts_clear".into(), opinion: String::new() }
}

pub fn refs() -> Vec<String> {
    vec!["doc:1".into()]
}

/// Papers that come later, without the family's authorisation.
pub fn brought() -> BroughtPapers {
    BroughtPapers { material_refs: refs(), authorisation_ref: None }
}

/// Whoever has a benefit, sealed: nothing here can read it.
pub fn holder() -> Vec<u8> {
    vec![7; 40]
}

/// An application that goes its way.
#[derive(Debug, Clone)]
pub struct Way {
    pub papers: Application,
    pub case: Case,
}

impl Way {
    pub fn of(filed: Filed) -> Self {
        Self { papers: filed.application, case: filed.decision.case }
    }

    pub fn state(&self) -> ApplicationState {
        self.case.application.as_ref().unwrap().state
    }

    /// The next verb, which must succeed.
    pub fn then(self, verb: impl FnOnce(Application, Case) -> Result<Filed>) -> Self {
        Self::of(verb(self.papers, self.case).unwrap())
    }

    pub fn tick(self, world: &mut World) -> Self {
        let case = world.tick(self.case).case;
        Self { case, ..self }
    }
}

pub fn submit(world: &mut World, item: &str) -> Result<Filed> {
    let register = RegisterCase { item_code: Some(item.into()), ..world.register() };
    let command = SubmitApplication { register, material_refs: refs(), authorisation_ref: None };
    Application::submit(command, &world.official(STATION))
}

impl World {
    pub fn way(&mut self, item: &str, to: ApplicationState) -> Way {
        use ApplicationState as S;
        let lead = if item == PERMIT { HOUSING } else { STREET_OFFICE };
        let submitted = Way::of(submit(self, item).unwrap());
        let accepted = |world: &mut Self, way: Way| way.then(|p, c| p.accept(c, &world.official(STATION)));
        match to {
            S::Submitted => submitted,
            S::NeedSupplement => {
                let missing = vec!["income_proof".to_owned()];
                submitted.then(|p, c| p.request_supplement(missing, c, &self.official(STATION)))
            }
            S::NotAccepted => {
                let refusal = Refusal { reason_code: "out_of_area".into(), ..refusal() };
                submitted.then(|p, c| p.decline(&refusal, c, &self.official(STATION)))
            }
            S::Withdrawn => submitted.then(|p, c| p.withdraw("not_needed", None, c, &self.resident())),
            S::Accepted => accepted(self, submitted),
            S::Investigating => {
                let way = accepted(self, submitted);
                way.then(|p, c| p.start_investigation(c, &self.act(person("lead", lead))))
            }
            S::Reviewed => {
                let way = self.way(item, S::Investigating);
                self.reviewed(way, true)
            }
            S::PublicNotice => {
                let way = self.way(item, S::Reviewed);
                way.then(|p, c| p.publish_notice("王**".into(), c, &self.act(person("rita", STREET_OFFICE))))
            }
            S::Reinvestigating => {
                let way = self.way(item, S::PublicNotice);
                way.then(|p, c| p.object("income", "他家有车".into(), c, &self.resident()))
            }
            S::Approved => {
                let way = self.way(item, S::Reviewed);
                way.then(|p, c| p.approve(100, c, &self.act(person("dora", lead))))
            }
            S::Delivered => {
                let way = self.way(item, S::Approved);
                way.then(|p, c| p.deliver("pay:1", holder(), c, &self.act(person("lead", lead))))
            }
            S::Denied => {
                let way = self.way(item, S::Reviewed);
                way.then(|p, c| p.deny(&refusal(), c, &self.act(person("dora", lead))))
            }
        }
    }

    /// Looked into by two people and summed up by a third.
    pub fn reviewed(&mut self, way: Way, recommends_grant: bool) -> Way {
        let home = check(InvestigationKind::HomeVisit);
        let way = way.then(|p, c| p.record_investigation(home, c, &self.act(person("anna", STATION))));
        let id = way.papers.investigations.last().unwrap().id;
        let way = way.then(|p, c| p.countersign_investigation(id, c, &self.act(person("ben", STATION))));
        let rita = person("rita", STREET_OFFICE);
        way.then(|p, c| p.review(summed_up(recommends_grant), c, &self.act(rita)))
    }

    /// Granted by the street before the facts are known.
    pub fn urgent(&mut self) -> Way {
        let way = self.way(RELIEF, ApplicationState::Accepted);
        let dora = person("dora", STREET_OFFICE);
        way.then(|p, c| p.grant_urgently(200_000, "sudden_illness", c, &self.act(dora)))
    }

    /// The days of a notice, and some more.
    pub fn after_notice(&mut self) -> &mut Self {
        self.wait(TimeDelta::days(12))
    }
}
