//! What another system calls a case by how it ended: it hears that word, and what it says in it is understood.

use chassis::proto::case_routing::v1 as pb;
use tonic::Code;

use crate::{
    exchange::{CODE, World},
    exchange_files::{imports, numbered},
    exchange_reports::{report, says, shown},
    support::request_id,
};

fn status(state: pb::CaseState, closed_code: pb::ClosedCode, word: &str) -> pb::StatusRule {
    pb::StatusRule { state: state.into(), external_status: word.into(), closed_code: closed_code.into() }
}

impl World {
    fn by_endings(&self) -> pb::DraftMappingRequest {
        use pb::{CaseState as S, ClosedCode as C};
        let statuses = vec![
            status(S::Registered, C::Unspecified, "待受理"),
            status(S::Completed, C::Unspecified, "已办"),
            status(S::Completed, C::Unfounded, "查无此事"),
            status(S::Verifying, C::Unfounded, "查无此事待核"),
            status(S::Verifying, C::Unspecified, "核查中"),
            status(S::Resolved, C::Resolved, "已解决"),
            status(S::HandedOff, C::Unspecified, "转办"),
            status(S::Closed, C::PartlyResolved, "部分办结"),
        ];
        pb::DraftMappingRequest { statuses, ..self.mapping() }
    }

    /// With a mapping in force that tells endings apart.
    async fn telling_endings_apart(direction: pb::ExchangeDirection) -> Self {
        let world = Self::start("", direction).await;
        let request = world.by_endings();
        let statuses = request.statuses.clone();
        let drafted = world.call(&world.drafter()).draft_mapping(request).await.unwrap().into_inner();
        assert_eq!(drafted.problems, []);
        let mapping_version = drafted.mapping.unwrap().mapping_version;
        world.activates(mapping_version).await.unwrap();
        let get = pb::GetMappingRequest { system_code: CODE.into(), mapping_version };
        let kept = world.call(&world.drafter()).get_mapping(get).await.unwrap().into_inner().mapping;
        assert_eq!(kept.unwrap().statuses, statuses, "as it was drafted");
        world
    }

    async fn pushed(&self, ext_no: &str) -> pb::Case {
        self.pushes(self.ticket(ext_no)).await.unwrap();
        let tickets = self.tickets(pb::SyncState::Unspecified).await;
        let ticket = tickets.into_iter().find(|ticket| ticket.ext_no == ext_no).unwrap();
        self.case(&ticket.case_id).await
    }

    /// Whoever looked into it found nothing.
    async fn finds_nothing(&self, case: &pb::Case) {
        let mut tasks = self.d.tasks(&self.d.leader());
        let sign = pb::SignTaskRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: case.tasks[0].task_id.clone(),
            ..Default::default()
        };
        tasks.sign_task(sign).await.unwrap();
        let contact = pb::ContactRequesterRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            method: "phone".into(),
            ..Default::default()
        };
        tasks.contact_requester(contact).await.unwrap();
        let complete = pb::CompleteCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            outcome: pb::ClosedCode::Unfounded.into(),
            ..Default::default()
        };
        tasks.complete_case(complete).await.unwrap();
    }

    /// What the system hears of a ticket and has words for.
    async fn heard(&self, ext_no: &str) -> Vec<String> {
        let request = pb::ListTicketChangesRequest::default();
        let waiting = self.call(&self.client).list_ticket_changes(request).await.unwrap().into_inner();
        assert_eq!(waiting.next_page_token, "");
        let changes = waiting.changes.into_iter().filter(|change| change.ext_no == ext_no);
        changes.map(|change| change.external_status).filter(|word| !word.is_empty()).collect()
    }
}

#[tokio::test]
async fn a_system_hears_how_a_case_ended_where_it_has_a_word_for_that_and_else_the_state() {
    let world = World::telling_endings_apart(pb::ExchangeDirection::In).await;
    let (solved, unfounded) = (world.pushed("WH-1").await, world.pushed("WH-2").await);
    world.d.resolve(&solved).await;
    world.finds_nothing(&unfounded).await;
    assert_eq!(world.heard("WH-1").await, ["待受理", "已办", "核查中", "已解决"]);
    assert_eq!(world.heard("WH-2").await, ["待受理", "查无此事", "查无此事待核"]);
    let receipt = world.pushes(world.ticket("WH-2")).await.unwrap();
    assert_eq!(
        (receipt.outcome(), receipt.external_status.as_str()),
        (pb::PushOutcome::Unchanged, "查无此事待核")
    );
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_ticket_keeps_the_words_it_was_taken_with() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let before = world.pushed("WH-1").await;
    let drafted = world.call(&world.drafter()).draft_mapping(world.by_endings()).await.unwrap().into_inner();
    world.activates(drafted.mapping.unwrap().mapping_version).await.unwrap();
    let after = world.pushed("WH-2").await;
    for case in [&before, &after] {
        world.finds_nothing(case).await;
    }
    assert_eq!(world.heard("WH-1").await, ["待受理", "已派单"]);
    assert_eq!(world.heard("WH-2").await, ["待受理", "查无此事", "查无此事待核"]);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_word_for_an_ending_is_told_by_its_place() {
    use pb::{CaseState as S, ClosedCode as C};
    let world = World::start("", pb::ExchangeDirection::In).await;
    let with = |rules: Vec<pb::StatusRule>| {
        let mapping = world.mapping();
        let statuses = mapping.statuses.into_iter().chain(rules).collect();
        pb::DraftMappingRequest { request_id: request_id(), statuses, ..world.mapping() }
    };
    let mut call = world.call(&world.drafter());
    let unknown = pb::StatusRule { closed_code: 99, ..status(S::Closed, C::Resolved, "办结") };
    let refused = call.draft_mapping(with(vec![unknown])).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("statuses[3].closed_code"), "{refused}");

    let rules = vec![
        status(S::Closed, C::Resolved, "办结"),
        status(S::Closed, C::Resolved, "结案"),
        status(S::Dispatched, C::Resolved, "办结"),
        status(S::Withdrawn, C::Declined, "撤回"),
    ];
    let told = call.draft_mapping(with(rules)).await.unwrap().into_inner();
    let problems: Vec<_> = told.problems.iter().map(|p| (p.field.as_str(), p.code.as_str())).collect();
    assert_eq!(
        problems,
        [
            ("statuses[4].state", "duplicate"),
            ("statuses[5].closed_code", "does_not_fit"),
            ("statuses[6].closed_code", "does_not_fit"),
        ]
    );
    assert_eq!(told.mapping, None);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_referral_is_reported_on_in_the_word_for_an_ending_singly_and_by_file() {
    let world = World::telling_endings_apart(pb::ExchangeDirection::Out).await;
    let (first, second) = (numbered(&world, "OUT-1").await, numbered(&world, "OUT-2").await);
    let receipt = says(&world, &world.client, report(&first, "R-1", "部分办结")).await.unwrap();
    assert_eq!(
        (receipt.outcome(), receipt.external_state()),
        (pb::ReportOutcome::Moved, pb::CaseState::Closed)
    );
    let file = "ext_no,external_status\nOUT-2,部分办结\n";
    let taken = imports(&world, &world.client, file).await.unwrap();
    assert_eq!((taken.moved, taken.problems.len()), (1, 0), "{taken:?}");
    for ticket in [&first, &second] {
        let known = shown(&world, &ticket.case_id).await;
        assert_eq!(known.external_status, "部分办结");
        assert_eq!(known.external_state(), pb::CaseState::Closed);
    }
    world.d.service.stop().await;
}
