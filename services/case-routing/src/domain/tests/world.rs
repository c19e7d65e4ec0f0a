//! A district with one street, one community, and somebody for every part.

use std::sync::Arc;

use calendar::{HolidayGroup, Limit, TimeUnit, YearNotice};
use chrono::TimeDelta;
use uuid::Uuid;

use super::super::*;

pub const CITY: UnitId = unit(1);
pub const DISTRICT: UnitId = unit(2);
pub const STREET: UnitId = unit(3);
pub const COMMUNITY: UnitId = unit(4);
pub const COURTYARD: UnitId = unit(5);
pub const DOORWAY: UnitId = unit(6);

pub const GOVERNMENT: OrgId = org(1);
pub const HOUSING: OrgId = org(2);
pub const URBAN: OrgId = org(3);
pub const STREET_OFFICE: OrgId = org(4);
pub const STATION: OrgId = org(5);
pub const COMMITTEE: OrgId = org(6);
pub const GROUP: OrgId = org(7);
pub const TEAM: OrgId = org(8);
pub const CONTRACTOR: OrgId = org(9);
pub const VERIFIER: OrgId = org(10);
/// A department that no item of the lists is about; the street may call it.
pub const COURTS: OrgId = org(11);
/// Leads the district's government, and is outside the cell ([`below_a_city`]).
pub const CITY_GOVERNMENT: OrgId = org(12);

pub const ALL_ORGS: [OrgId; 10] =
    [GOVERNMENT, HOUSING, URBAN, STREET_OFFICE, STATION, COMMITTEE, GROUP, TEAM, CONTRACTOR, VERIFIER];

const fn unit(n: u128) -> UnitId {
    UnitId(Uuid::from_u128(0x1000 + n))
}

const fn org(n: u128) -> OrgId {
    OrgId(Uuid::from_u128(0x2000 + n))
}

pub fn at(text: &str) -> Timestamp {
    format!("{text}+08:00").parse().unwrap()
}

pub fn item(code: &str, line: &str) -> ServiceItem {
    ServiceItem {
        code: code.into(),
        version: 1,
        name_zh: code.into(),
        name_en: code.into(),
        category: "environment".into(),
        nature: Nature::Help,
        lines: vec![line.into()],
        lead_line_unclear: false,
        statutory_limit: Some(Limit::new(TimeUnit::WorkDay, 15)),
        promised_limit: Limit::new(TimeUnit::WorkDay, 5),
        self_solvable: false,
        society_chain: vec![],
        skill_codes: vec!["repair".into()],
        emergency_line: None,
        statutory_channel: None,
        department_item: false,
        silence: Silence::Withdrawn,
        withdrawal_barred: false,
        sla_profile: None,
        urgency: Urgency::Normal,
        retention_days: Some(100),
        application: ApplicationRules::default(),
        benefit: None,
        stages: vec![],
        valid_from: at("2020-01-01T00:00:00"),
        valid_to: None,
    }
}

pub fn entry(rule: &str, item: &str, holder: OrgId, part: ListPart) -> ResponsibilityEntry {
    ResponsibilityEntry {
        rule_id: rule.into(),
        item_code: item.into(),
        holder: Holder::Org(holder),
        part,
        mandatory: part == ListPart::Assist,
        transfer_ref: None,
        basis_doc: "list 2026".into(),
        condition: None,
        valid_from: at("2020-01-01T00:00:00"),
        valid_to: None,
    }
}

pub fn parts() -> TableParts {
    let node = |id, kind, unit, line: Option<&str>| OrgNode {
        id,
        kind,
        unit,
        line: line.map(str::to_owned),
        valid_from: at("2020-01-01T00:00:00"),
        valid_to: None,
    };
    let path = [CITY, DISTRICT, STREET, COMMUNITY, COURTYARD, DOORWAY];
    let kinds = [
        UnitKind::City,
        UnitKind::District,
        UnitKind::Street,
        UnitKind::Community,
        UnitKind::Courtyard,
        UnitKind::Doorway,
    ];
    let unit =
        |depth: usize| UnitNode { id: path[depth], kind: kinds[depth], path: Arc::from(&path[..=depth]) };
    let edge = |from, to, kind| Edge {
        from,
        to,
        kind,
        line: None,
        valid_from: at("2020-01-01T00:00:00"),
        valid_to: None,
    };
    TableParts {
        version: "2026.1".into(),
        topology_version: 1,
        items: vec![
            item("street_light", "urban"),
            item("stairs", "housing"),
            ServiceItem {
                self_solvable: true,
                society_chain: vec![
                    PartnerRule::Kind(OrgKind::SelfGovGroup),
                    PartnerRule::Org(TEAM),
                    PartnerRule::Kind(OrgKind::Enterprise),
                ],
                ..item("shopping_help", "civil_affairs")
            },
            ServiceItem { department_item: true, ..item("demolition", "housing") },
            ServiceItem { emergency_line: Some("119".into()), ..item("fire", "safety") },
            ServiceItem { statutory_channel: Some("litigation".into()), ..item("court_matter", "justice") },
            ServiceItem { lead_line_unclear: true, ..item("tangled_cables", "urban") },
            ServiceItem {
                silence: Silence::Accepted,
                nature: Nature::Application,
                ..item("licence", "market")
            },
            ServiceItem { withdrawal_barred: true, ..item("gas_smell", "safety") },
            item("nobodys", "none"),
            ServiceItem { nature: Nature::Dispute, ..item("quarrel", "justice") },
            item("committee_matter", "civil_affairs"),
            ServiceItem { stages: pipe_stages(), ..item("burst_pipe", "urban") },
        ],
        entries: vec![
            entry("r-light-street", "street_light", STREET_OFFICE, ListPart::Lead),
            entry("r-light-urban", "street_light", URBAN, ListPart::Lead),
            entry("r-light-assist", "street_light", URBAN, ListPart::Assist),
            entry("r-stairs-station", "stairs", STATION, ListPart::StatutoryDuty),
            entry("r-stairs-housing", "stairs", HOUSING, ListPart::Lead),
            entry("r-stairs-committee", "stairs", COMMITTEE, ListPart::AssistDuty),
            entry("r-shop-station", "shopping_help", STATION, ListPart::StatutoryDuty),
            entry("r-demolition-street", "demolition", STREET_OFFICE, ListPart::Lead),
            entry("r-demolition-housing", "demolition", HOUSING, ListPart::Lead),
            entry("r-committee", "committee_matter", COMMITTEE, ListPart::StatutoryDuty),
            entry("r-committee-street", "committee_matter", STREET_OFFICE, ListPart::Lead),
            entry("r-licence", "licence", STREET_OFFICE, ListPart::Lead),
            entry("r-quarrel-committee", "quarrel", COMMITTEE, ListPart::StatutoryDuty),
            entry("r-quarrel-street", "quarrel", STREET_OFFICE, ListPart::Lead),
            entry("r-pipe", "burst_pipe", STREET_OFFICE, ListPart::Lead),
            entry("r-gas", "gas_smell", STREET_OFFICE, ListPart::Lead),
        ],
        units: (0..path.len()).map(unit).collect(),
        merged: vec![],
        orgs: vec![
            node(GOVERNMENT, OrgKind::Government, DISTRICT, None),
            node(HOUSING, OrgKind::Department, DISTRICT, Some("housing")),
            node(URBAN, OrgKind::Department, DISTRICT, Some("urban")),
            node(STREET_OFFICE, OrgKind::StreetOffice, STREET, None),
            node(STATION, OrgKind::ServiceStation, COMMUNITY, None),
            node(COMMITTEE, OrgKind::Committee, COMMUNITY, None),
            node(GROUP, OrgKind::SelfGovGroup, COURTYARD, None),
            node(TEAM, OrgKind::SocialOrg, COMMUNITY, None),
            node(CONTRACTOR, OrgKind::Enterprise, STREET, None),
            node(VERIFIER, OrgKind::CallbackCentre, DISTRICT, None),
            node(COURTS, OrgKind::Department, DISTRICT, Some("justice")),
        ],
        edges: vec![
            edge(GOVERNMENT, HOUSING, EdgeKind::Leads),
            edge(GOVERNMENT, URBAN, EdgeKind::Leads),
            edge(GOVERNMENT, STREET_OFFICE, EdgeKind::Leads),
            edge(STREET_OFFICE, STATION, EdgeKind::Leads),
            edge(STREET_OFFICE, URBAN, EdgeKind::Coordinates),
            edge(GOVERNMENT, COURTS, EdgeKind::Leads),
            edge(STREET_OFFICE, COURTS, EdgeKind::Coordinates),
            edge(STREET_OFFICE, COMMITTEE, EdgeKind::Guides),
            edge(COMMITTEE, GROUP, EdgeKind::Partners),
            edge(STREET_OFFICE, TEAM, EdgeKind::Partners),
            edge(STREET_OFFICE, CONTRACTOR, EdgeKind::Contracts),
        ],
        fallback: Some(GOVERNMENT),
        verifiers: vec![VERIFIER],
        joint_body: None,
        hours: None,
    }
}

/// The same district, led by its city as the authority edges of the seed say.
pub fn below_a_city() -> TableParts {
    let mut parts = parts();
    parts.orgs.push(OrgNode { id: CITY_GOVERNMENT, unit: CITY, ..parts.orgs[0].clone() });
    parts.edges.push(Edge { from: CITY_GOVERNMENT, to: GOVERNMENT, ..parts.edges[0].clone() });
    parts
}

/// Fenced off, repaired, the surface restored.
pub fn pipe_stages() -> Vec<Stage> {
    let stage = |code: &str, unit, n| Stage {
        code: code.into(),
        name_zh: code.into(),
        name_en: code.into(),
        limit: Limit::new(unit, n),
    };
    vec![
        stage("secure", TimeUnit::CalHour, 2),
        stage("repair", TimeUnit::CalHour, 24),
        stage("restore", TimeUnit::WorkDay, 2),
    ]
}

/// The world, with a running number for fresh ids.
pub struct World {
    pub rules: Rules,
    pub routes: RoutingTable,
    pub now: Timestamp,
    /// Whom what comes in complains of.
    pub complained_of: Option<OrgId>,
    /// Of whom it turns out later, by triage or a merger, that it is complained of.
    pub found_out: Option<OrgId>,
    /// Rules where nobody of the tree stands apart.
    pub joint_body: Option<OrgId>,
    drawn: u64,
}

impl World {
    pub fn new() -> Self {
        Self::of(parts())
    }

    /// Nobody verifies by itself: completed cases stay so.
    pub fn without_verifier() -> Self {
        Self::of(TableParts { verifiers: vec![], ..parts() })
    }

    /// Where the level above all the others is a party itself, a department that is none rules.
    pub fn with_joint_body() -> Self {
        Self::of(TableParts { joint_body: Some(COURTS), ..parts() })
    }

    pub fn of(parts: TableParts) -> Self {
        let joint_body = parts.joint_body;
        let routes = RoutingTable::new(parts);
        let now = at("2026-06-08T09:00:00");
        let rules = Rules::default();
        Self { rules, routes, now, complained_of: None, found_out: None, joint_body, drawn: 0 }
    }

    pub fn wait(&mut self, time: TimeDelta) -> &mut Self {
        self.now += time;
        self
    }

    pub fn fresh(&mut self) -> Uuid {
        self.drawn += 1;
        Uuid::from_u128(0x0193_9f5e_7a00_7000_8000_0000_0000_0000 + (u128::from(self.drawn) << 32))
    }

    pub fn act(&mut self, by: Party) -> Act<'_> {
        let ids = Ids::new(self.fresh());
        Act { by, now: self.now, ids, rules: &self.rules, routes: &self.routes }
    }

    pub fn official(&mut self, org: OrgId) -> Act<'_> {
        self.act(official(org))
    }

    pub fn system(&mut self) -> Act<'_> {
        self.act(Party::system())
    }

    pub fn resident(&mut self) -> Act<'_> {
        self.act(Party { actor: requester(), org: None, standing: Standing::Requester })
    }

    pub fn register(&mut self) -> RegisterCase {
        RegisterCase {
            case_id: CaseId(self.fresh()),
            case_no: "420103-20260608-000001".into(),
            channel: Channel::Window,
            origin: Origin::BottomUp,
            nature: Nature::Help,
            item_code: None,
            urgency: Urgency::Normal,
            anonymous: false,
            vulnerable: false,
            requester: Some(requester()),
            place_unit: DOORWAY,
            grid: None,
            point: None,
            receiver: STATION,
            text_redacted: "the lamp is out".into(),
            text_ref: None,
            complained_of: self.complained_of,
            society_agreed: true,
        }
    }

    pub fn registered(&mut self) -> Case {
        let command = self.register();
        Case::register(command, &self.official(STATION)).unwrap().case
    }

    pub fn accepted(&mut self) -> Case {
        let case = self.registered();
        case.accept(&self.official(STATION)).unwrap().case
    }

    pub fn triaged(&mut self, item: &str) -> Case {
        let case = self.accepted();
        case.triage(&triage(item), &self.official(STATION)).unwrap().case
    }

    /// What a window worker does in one go.
    pub fn intake(&mut self, item: &str) -> Decision {
        let register = self.register();
        let command = IntakeCase { register, triage: triage(item), route: RouteChoice::Auto };
        Case::intake(command, &self.official(STATION)).unwrap()
    }

    pub fn dispatched(&mut self, item: &str) -> Case {
        self.intake(item).case
    }

    pub fn signed(&mut self, item: &str) -> Case {
        let case = self.dispatched(item);
        let task = case.lead().unwrap().clone();
        case.sign(task.id, &self.official(task.org)).unwrap().case
    }

    pub fn in_progress(&mut self, item: &str) -> Case {
        let case = self.signed(item);
        let org = case.lead_org.unwrap();
        case.contact(ContactMethod::Phone, &self.official(org)).unwrap().case
    }

    /// A partner leads.
    pub fn with_partner(&mut self) -> Case {
        let case = self.dispatched("shopping_help");
        let offer = case.offer.clone().unwrap();
        case.confirm_offer(offer.id, &self.official(offer.partner)).unwrap().case
    }

    /// Completed; Verifying already where the world has a verifier.
    pub fn completed(&mut self, item: &str) -> Case {
        let case = self.in_progress(item);
        self.complete(case)
    }

    /// Every stage of the work that is not done yet.
    pub fn stages_done(&mut self, mut case: Case) -> Case {
        while let Some(run) = case.stage_in_hand().cloned() {
            let org = case.lead_org.unwrap();
            case = case.complete_stage(&run.code, vec![], &self.official(org)).unwrap().case;
        }
        case
    }

    pub fn complete(&mut self, case: Case) -> Case {
        let org = case.lead_org.unwrap();
        case.complete(done(), &self.official(org)).unwrap().case
    }

    pub fn resolved(&mut self, item: &str) -> Case {
        let case = self.completed(item);
        case.verify(&found_good(), &self.official(VERIFIER)).unwrap().case
    }

    pub fn closed(&mut self, item: &str) -> Case {
        let case = self.resolved(item);
        case.rate(5, &self.resident()).unwrap().case
    }

    /// The requester was reached about a bad rating, which can be found not valid from now on.
    pub fn heard(&mut self, rated: Case) -> Case {
        rated.record_callback(&reached(2), &self.official(VERIFIER)).unwrap().case
    }

    pub fn objected(&mut self, item: &str) -> Case {
        let case = self.dispatched(item);
        let command = objection(&case);
        let org = case.lead_org.unwrap();
        case.object(command, &self.official(org)).unwrap().case
    }

    pub fn tick(&mut self, case: Case) -> Decision {
        case.tick(&self.system()).unwrap().expect("something is due")
    }
}

pub fn requester() -> PersonRef {
    PersonRef("r-1".into())
}

pub fn official(org: OrgId) -> Party {
    Party {
        actor: PersonRef(format!("o-{}", org.0.as_u128() & 0xff)),
        org: Some(org),
        standing: Standing::Official,
    }
}

/// Rules once a notice for 2027 with these days is in force.
pub fn published(rules: &Rules, off: &str, work: &[&str]) -> Rules {
    let notice = YearNotice {
        title_year: 2027,
        papers: vec![],
        holidays: vec![HolidayGroup {
            name: "元旦".into(),
            off: vec![off.into()],
            work: work.iter().map(|day| (*day).to_owned()).collect(),
        }],
    };
    Rules { calendar: rules.calendar.amended(&notice).unwrap(), ..rules.clone() }
}

pub fn triage(item: &str) -> TriageCase {
    TriageCase { item_code: Some(item.into()), ..TriageCase::default() }
}

pub fn done() -> CompleteCase {
    CompleteCase { evidence: vec![(EvidenceKind::Photo, "photo-1".into())], ..CompleteCase::default() }
}

pub fn on_the_spot(sampled: bool) -> OnTheSpot {
    let evidence = ["photo:before", "photo:after"].map(|text| (EvidenceKind::Photo, text.to_owned()));
    OnTheSpot { evidence: evidence.to_vec(), sampled }
}

pub fn found_good() -> VerifyCase {
    VerifyCase {
        method: VerifyMethod::Phone,
        resolution: Resolution::Resolved,
        partly_reason_code: None,
        callback: Some(reached(5)),
        evidence: vec![],
    }
}

pub fn reached(grade: u8) -> CallbackReport {
    CallbackReport::Reached { resolution: Resolution::Resolved, grade: Some(grade), contact_confirmed: true }
}

pub fn materials(codes: &[&str]) -> Materials {
    Materials { codes: codes.iter().map(|code| (*code).to_owned()).collect(), refs: vec!["doc:1".into()] }
}

pub fn objection(case: &Case) -> ObjectTask {
    ObjectTask {
        task_id: case.lead_task.unwrap(),
        ground_code: "not_my_duty".into(),
        basis_refs: vec!["list 2026, art. 3".into()],
        suggested: Some(URBAN),
    }
}

pub fn manual(lead: OrgId) -> RouteChoice {
    sends(Chooser::Dispatcher, lead, &[])
}

/// A lead and those who have to assist, chosen by hand.
pub fn sends(chooser: Chooser, lead: OrgId, assists: &[OrgId]) -> RouteChoice {
    let assists = assists.iter().map(|org| (*org, true)).collect();
    RouteChoice::Manual(ManualRoute { lead, assists, reason_code: "dispatcher_knows".into() }, chooser)
}

pub fn names(decision: &Decision) -> Vec<&'static str> {
    decision.events.iter().map(|emitted| emitted.event.name()).collect()
}

/// The code of a refusal, or the field it names.
pub fn guard(result: Result<Decision>) -> &'static str {
    match result {
        Err(DomainError::Guard { code, .. } | DomainError::NotEntitled { code }) => code,
        Err(DomainError::Invalid { field, .. }) => field,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
