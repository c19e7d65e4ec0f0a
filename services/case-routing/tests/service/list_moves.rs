//! Versions of the list that others have moved past: a draft of what is in force no more, and one that waits for its day while
//! the one before it is taken back.

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, responsibility_service_client::ResponsibilityServiceClient as Client,
    },
    testing::Persona,
};
use tonic::{Code, Status};

use crate::{
    duties::{DAY, Duties},
    support::{District, request_id},
};

struct Desk {
    drafter: Client<PeerChannel>,
    approver: Client<PeerChannel>,
}

impl Desk {
    fn of(d: &District) -> Self {
        let client = |role| Client::new(d.service.call_as(&Persona::new(role, d.district)));
        Self { drafter: client(Role::DistrictDispatcher), approver: client(Role::Arbiter) }
    }

    /// Without some rule; of the version in force.
    async fn draft(&mut self, removed: &[&str]) -> i32 {
        let request = pb::CreateListVersionRequest {
            request_id: request_id(),
            removed_rule_ids: removed.iter().map(ToString::to_string).collect(),
            reason_code: "yearly_review".into(),
            ..Default::default()
        };
        self.drafter.create_list_version(request).await.unwrap().into_inner().version.unwrap().list_version
    }

    async fn activate(&mut self, version: i32, day: &str) -> Result<pb::ListVersion, Status> {
        self.put_in_force(version, day, false).await
    }

    async fn put_in_force(
        &mut self,
        version: i32,
        day: &str,
        replace_moved: bool,
    ) -> Result<pb::ListVersion, Status> {
        let request = pb::ActivateListVersionRequest {
            list_version: version,
            request_id: request_id(),
            effective_on: day.into(),
            replace_moved,
        };
        self.approver.activate_list_version(request).await.map(|answer| answer.into_inner().version.unwrap())
    }

    async fn canary(
        &mut self,
        d: &District,
        version: i32,
        replace_moved: bool,
    ) -> Result<pb::ListVersion, Status> {
        let request = pb::StartCanaryRequest {
            list_version: version,
            request_id: request_id(),
            unit_id: d.street.to_string(),
            replace_moved,
        };
        self.approver.start_canary(request).await.map(|answer| answer.into_inner().version.unwrap())
    }

    /// The version in force from then on.
    async fn roll_back(&mut self, version: i32) -> i32 {
        self.takes_back(version).await.unwrap()
    }

    async fn takes_back(&mut self, version: i32) -> Result<i32, Status> {
        let request = pb::RollBackListVersionRequest {
            list_version: version,
            request_id: request_id(),
            reason_code: "wrong_lead".into(),
        };
        let answer = self.drafter.roll_back_list_version(request).await?;
        Ok(answer.into_inner().in_force_version)
    }

    async fn state(&mut self, list_version: i32) -> pb::ListState {
        let request = pb::GetListVersionRequest { list_version };
        self.drafter.get_list_version(request).await.unwrap().into_inner().version.unwrap().state()
    }

    /// The newest version that was made of another.
    async fn made_of(&mut self, base: i32) -> pb::ListVersion {
        let request = pb::ListListVersionsRequest::default();
        let versions = self.drafter.list_list_versions(request).await.unwrap().into_inner().versions;
        versions.into_iter().find(|version| version.base_version == base).unwrap()
    }

    async fn rules(&mut self, list_version: i32) -> Vec<String> {
        let request = pb::ListListEntriesRequest { list_version, page_size: 1_000, ..Default::default() };
        let entries = self.drafter.list_list_entries(request).await.unwrap().into_inner().entries;
        entries.into_iter().map(|entry| entry.rule_id).collect()
    }

    /// Two rules of which nothing else needs to know.
    async fn two_assists(&mut self) -> [String; 2] {
        let request = pb::ListListEntriesRequest { list_version: 1, page_size: 1_000, ..Default::default() };
        let entries = self.drafter.list_list_entries(request).await.unwrap().into_inner().entries;
        let assists = entries.into_iter().filter(|entry| entry.part() == pb::ListPart::AssistDuty);
        let rules: Vec<String> = assists.take(2).map(|entry| entry.rule_id).collect();
        rules.try_into().unwrap()
    }
}

fn moved(refused: &Status) -> bool {
    refused.code() == Code::FailedPrecondition && refused.message().contains("list_moved")
}

#[tokio::test]
async fn a_draft_does_not_silently_undo_what_came_into_force_beside_it() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let [one, other] = desk.two_assists().await;
    let (second, third) = (desk.draft(&[&one]).await, desk.draft(&[&other]).await);
    desk.activate(second, "").await.unwrap();
    for refused in [desk.activate(third, "").await, desk.canary(&d, third, false).await] {
        let refused = refused.unwrap_err();
        assert!(moved(&refused), "{refused}");
    }
    assert_eq!(desk.state(third).await, pb::ListState::Draft, "nothing was stored");
    // Drafted anew it goes on from what is in force; the old one replaces that only if one says so.
    let anew = desk.draft(&[&other]).await;
    desk.activate(anew, "").await.unwrap();
    let rules = desk.rules(anew).await;
    assert!(!rules.contains(&one) && !rules.contains(&other));
    desk.canary(&d, third, true).await.unwrap();
    let still = desk.activate(third, "").await.unwrap_err();
    assert!(moved(&still), "each step says so: {still}");
    let replaced = desk.put_in_force(third, "", true).await.unwrap();
    assert_eq!(replaced.state(), pb::ListState::InForce);
    assert!(desk.rules(third).await.contains(&one), "what the second had removed is there again");
    d.service.stop().await;
}

#[tokio::test]
async fn a_draft_of_what_was_taken_back_does_not_bring_it_back() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let [one, other] = desk.two_assists().await;
    let beside = desk.draft(&[&other]).await;
    let second = desk.draft(&[&one]).await;
    desk.activate(second, "").await.unwrap();
    let third = desk.draft(&[&other]).await;
    assert_eq!(desk.roll_back(second).await, 1);
    let refused = desk.activate(third, "").await.unwrap_err();
    assert!(moved(&refused), "{refused}");
    assert!(!desk.rules(third).await.contains(&one), "it would leave out what was taken back for that");
    // What was drafted from the version that is in force again is none the worse for it.
    assert_eq!(desk.activate(beside, "").await.unwrap().state(), pb::ListState::InForce);
    d.service.stop().await;
}

#[tokio::test]
async fn a_version_that_waits_outlives_the_one_before_it_and_is_taken_back_still() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let [one, other] = desk.two_assists().await;
    // Made beside the one before it, and not from it.
    let third = desk.draft(&[&other]).await;
    let second = desk.draft(&[&one]).await;
    desk.activate(second, "").await.unwrap();
    let waits = desk.put_in_force(third, "2026-03-12", true).await.unwrap();
    assert_eq!(waits.state(), pb::ListState::Scheduled);
    assert_eq!(desk.roll_back(second).await, 1);
    assert_eq!(desk.state(third).await, pb::ListState::Scheduled);
    assert_eq!(desk.roll_back(third).await, 1);
    let fourth = desk.draft(&[&one]).await;
    assert_eq!(desk.activate(fourth, "").await.unwrap().state(), pb::ListState::InForce);
    d.service.clock().advance(11 * DAY);
    let states = [desk.state(1).await, desk.state(third).await, desk.state(fourth).await];
    assert_eq!(states, [pb::ListState::Superseded, pb::ListState::Withdrawn, pb::ListState::InForce]);
    d.service.stop().await;
}

/// What was taken back does not come back on somebody else's day, approved by nobody again.
#[tokio::test]
async fn what_others_on_their_way_were_made_from_is_taken_back_after_them() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let [one, other] = desk.two_assists().await;
    let second = desk.draft(&[&one]).await;
    desk.activate(second, "").await.unwrap();
    let third = desk.draft(&[&other]).await;
    desk.activate(third, "2026-03-12").await.unwrap();
    let barred = |refused: Status| {
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("list_scheduled"), "{refused}");
    };
    barred(desk.takes_back(second).await.unwrap_err());
    assert_eq!(desk.state(second).await, pb::ListState::InForce, "nothing was stored");
    assert_eq!(desk.roll_back(third).await, second);
    let fourth = desk.draft(&[&other]).await;
    desk.canary(&d, fourth, false).await.unwrap();
    barred(desk.takes_back(second).await.unwrap_err());
    assert_eq!(desk.roll_back(fourth).await, second);
    assert_eq!(desk.roll_back(second).await, 1);
    d.service.clock().advance(11 * DAY);
    assert_eq!(desk.state(1).await, pb::ListState::InForce);
    d.service.stop().await;
}

#[tokio::test]
async fn what_duties_changed_is_no_other_version_and_stays_when_one_is_taken_back_while_another_waits() {
    let world = Duties::start().await;
    let d = &world.d;
    let mut desk = Desk::of(d);
    let [one, other] = desk.two_assists().await;
    let second = desk.draft(&[&one]).await;
    desk.canary(d, second, false).await.unwrap();
    let id = world.proposed().await.duty_transfer_id;
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_legs(&id).await;
    d.service.clock().advance(7 * DAY);
    world.becomes(&id, pb::DutyTransferState::Effective).await;
    d.service.wait_for("the station leads", async || world.lead().await == d.station.to_string()).await;
    // The canary goes on with the duty in it, and was drafted from what is in force but for the duty.
    let canary = desk.made_of(second).await;
    assert_eq!(canary.state(), pb::ListState::Canary);
    let waits = desk.draft(&[&other]).await;
    d.service.clock().advance(DAY);
    let active = desk.activate(canary.list_version, "").await.unwrap();
    assert_eq!(active.state(), pb::ListState::InForce);

    desk.put_in_force(waits, "2026-03-20", true).await.unwrap();
    d.service.clock().advance(DAY);
    let again = desk.roll_back(canary.list_version).await;
    assert_eq!(desk.state(again).await, pb::ListState::InForce);
    let rules = desk.rules(again).await;
    assert!(rules.contains(&one) && rules.contains(&other));
    assert_eq!(world.lead().await, d.station.to_string(), "the duty stays");
    assert_eq!(desk.roll_back(waits).await, again);
    d.service.clock().advance(11 * DAY);
    assert_eq!(desk.state(again).await, pb::ListState::InForce);
    world.d.service.stop().await;
}
