//! A department's duty on its way down: heard, assessed, and the saga with identity's and staffing's answers delivered by hand.

use chassis::{
    auth::Role,
    clock::new_id,
    proto::{
        case_routing::v1::{self as pb, responsibility_service_client::ResponsibilityServiceClient},
        identity::v1::{AuthorityGranted, AuthorityRefused},
        staffing::v1::{FundsRefused, StaffUnavailable},
    },
    testing::Persona,
};
use tonic::Code;

use crate::{
    duties::{DAY, Duties, LAMP, head},
    support::request_id,
};

#[tokio::test]
async fn a_duty_moves_with_authority_funds_and_staff_and_the_list_follows() {
    let world = Duties::start().await;
    let d = &world.d;
    let mut lists = ResponsibilityServiceClient::new(d.service.call_as(&world.dispatcher()));
    let mut approver = ResponsibilityServiceClient::new(d.service.call_as(&world.arbiter()));
    let draft = pb::CreateListVersionRequest {
        request_id: request_id(),
        reason_code: "stale".into(),
        ..Default::default()
    };
    let stale = lists.create_list_version(draft).await.unwrap().into_inner().version.unwrap().list_version;

    let made = world.applied(world.proposal(d.station)).await;
    let id = made.duty_transfer_id.clone();
    assert_eq!((made.state(), made.assessment), (pb::DutyTransferState::Applied, None));
    let unheard = world.assess(&id, &world.dispatcher()).await.unwrap_err();
    assert_eq!(unheard.code(), Code::FailedPrecondition, "{unheard}");
    world.opinions(&id).await;
    let unassessed = world.approve(&id, &world.arbiter()).await.unwrap_err();
    assert_eq!(unassessed.code(), Code::FailedPrecondition, "{unassessed}");
    let own = world.dispatcher().org(world.department);
    assert_eq!(world.assess(&id, &own).await.unwrap_err().code(), Code::FailedPrecondition);
    assert!(world.told().await.is_empty(), "nobody is asked before it is assessed");
    let assessed = world.assess(&id, &world.dispatcher()).await.unwrap();
    assert_eq!(world.told().await, ["DutyTransferProposed"]);
    assert_eq!(assessed.state(), pb::DutyTransferState::Proposed);
    assert_eq!(assessed.assessment.unwrap().load_code, "bearable");
    assert!(!assessed.assessed_by.is_empty() && assessed.assessed_time.is_some());
    assert_eq!(world.assess(&id, &world.dispatcher()).await.unwrap_err().code(), Code::FailedPrecondition);
    let own = world.arbiter().org(world.department);
    assert_eq!(world.approve(&id, &own).await.unwrap_err().code(), Code::FailedPrecondition);
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_legs(&id).await;
    assert_eq!(world.lead().await, world.department.to_string(), "not before its day");
    world.told().await;

    d.service.clock().advance(7 * DAY);
    let effective = world.becomes(&id, pb::DutyTransferState::Effective).await;
    assert_eq!(world.told().await, ["DutyEffective"]);
    d.service.wait_for("the station leads", async || world.lead().await == d.station.to_string()).await;
    let request = pb::ListListVersionsRequest::default();
    let versions = lists.list_list_versions(request).await.unwrap().into_inner().versions;
    let new = versions.iter().find(|version| version.state() == pb::ListState::InForce).unwrap();
    assert_eq!((new.reason_code.as_str(), new.base_version), ("duty_transfer", 1));
    assert_eq!((&new.drafted_by, &new.approved_by), (&effective.proposed_by, &effective.approved_by));
    let request = pb::ListListEntriesRequest {
        list_version: new.list_version,
        item_code: LAMP.into(),
        ..Default::default()
    };
    let entries = lists.list_list_entries(request).await.unwrap().into_inner().entries;
    let entry = entries.iter().find(|entry| entry.transfer_ref == id).expect("an entry of the transfer");
    assert!(entry.authority_granted && entry.part() == pb::ListPart::Lead);
    assert_eq!((entry.fund_line.as_str(), entry.basis_doc.as_str()), ("lamps-2026", "doc:district-2026-7"));

    // Nobody undoes it by a list: neither by one drafted before, nor by taking its version back, nor by a new draft.
    let activate = pb::ActivateListVersionRequest {
        list_version: stale,
        request_id: request_id(),
        ..Default::default()
    };
    assert_eq!(approver.activate_list_version(activate).await.unwrap_err().code(), Code::FailedPrecondition);
    let back = pb::RollBackListVersionRequest {
        list_version: new.list_version,
        request_id: request_id(),
        reason_code: "wrong".into(),
    };
    assert_eq!(lists.roll_back_list_version(back).await.unwrap_err().code(), Code::FailedPrecondition);
    let without = pb::CreateListVersionRequest {
        request_id: request_id(),
        removed_rule_ids: vec![entry.rule_id.clone()],
        reason_code: "wrong".into(),
        ..Default::default()
    };
    assert_eq!(lists.create_list_version(without).await.unwrap_err().code(), Code::InvalidArgument);
    let ended = pb::ListEntry { valid_to: "2026-04-01".into(), ..entry.clone() };
    let earlier = pb::ListEntry { valid_from: String::new(), ..entry.clone() };
    for upsert in [ended, earlier] {
        let moved = pb::CreateListVersionRequest {
            request_id: request_id(),
            upserts: vec![upsert],
            reason_code: "wrong".into(),
            ..Default::default()
        };
        let refused = lists.create_list_version(moved).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "its days are its own too");
        assert!(refused.message().starts_with("upserts[0].transfer_ref"), "{refused}");
    }
    // Drafted as it stands it keeps what no draft says: authority and money.
    let same = pb::CreateListVersionRequest {
        request_id: request_id(),
        upserts: vec![pb::ListEntry { authority_granted: false, fund_line: String::new(), ..entry.clone() }],
        reason_code: "same".into(),
        ..Default::default()
    };
    let same = lists.create_list_version(same).await.unwrap().into_inner().version.unwrap();
    let request = pb::ListListEntriesRequest {
        list_version: same.list_version,
        item_code: LAMP.into(),
        ..Default::default()
    };
    let kept = lists.list_list_entries(request).await.unwrap().into_inner().entries;
    assert!(kept.contains(entry), "{kept:?}");

    // Suspended, the list does without it; what had arrived is sent back and goes to the department.
    let case = world.lamp().await;
    let early = world.refuse(&case, d.station, &head(d)).await.unwrap_err();
    assert!(early.code() == Code::FailedPrecondition && early.message().contains("admitted"), "{early}");
    let suspend = pb::SuspendDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        reason_code: "no_money".into(),
        ..Default::default()
    };
    let mut arbiter = world.client(&world.arbiter());
    arbiter.suspend_duty_transfer(suspend).await.unwrap();
    assert_eq!(world.lead().await, world.department.to_string());
    world.told().await;
    let refused = world.refuse(&case, d.station, &head(d)).await.unwrap();
    assert_eq!(
        (refused.state(), refused.lead_org_id.clone()),
        (pb::CaseState::Dispatched, world.department.to_string())
    );
    let told = world.told().await;
    assert_eq!(told[0], "AdmissionRefusedByCommunity", "{told:?}");
    let request = pb::ListAdmissionRefusalsRequest::default();
    let listed = world.client(&world.dispatcher()).list_admission_refusals(request).await.unwrap();
    let refusals = listed.into_inner().refusals;
    assert_eq!(refusals.len(), 1);
    assert_eq!((&refusals[0].case_id, &refusals[0].org_id), (&case.case_id, &d.station.to_string()));
    assert_eq!((refusals[0].item_code.as_str(), refusals[0].reason_code.as_str()), (LAMP, "not_admitted"));

    // While it is suspended the promised worker leaves: it does not lead again with nobody there.
    world.post_vacant(&id).await;
    assert_eq!(world.transfer(&id).await.reason_code, "no_money", "suspended it was already");
    assert!(world.told().await.is_empty());
    assert_eq!(world.resume(&id).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(world.lead().await, world.department.to_string());
    world.staffed(&id).await;
    assert_eq!(world.resume(&id).await.unwrap_err().code(), Code::FailedPrecondition, "not trained");
    world.trained(&id).await;
    world.resume(&id).await.unwrap();
    assert_eq!(world.lead().await, d.station.to_string());
    // A post that falls vacant while it is effective suspends it at once.
    world.told().await;
    world.post_vacant(&id).await;
    let suspended = world.transfer(&id).await;
    let expected = (pb::DutyTransferState::Suspended, "staff_unavailable");
    assert_eq!((suspended.state(), suspended.reason_code.as_str()), expected);
    assert_eq!(world.told().await, ["DutySuspended"]);
    d.service
        .wait_for("nobody is there: the department leads", async || {
            world.lead().await == world.department.to_string()
        })
        .await;
    let end = pb::EndDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        reason_code: "over".into(),
        ..Default::default()
    };
    world.told().await;
    arbiter.end_duty_transfer(end).await.unwrap();
    assert_eq!(world.told().await, ["DutyEnded"]);
    d.service
        .wait_for("the department leads", async || world.lead().await == world.department.to_string())
        .await;
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_not_complete_by_the_deadline_is_rolled_back_and_late_answers_change_nothing() {
    let world = Duties::start().await;
    let made = world.proposed().await;
    let id = made.duty_transfer_id.clone();
    let again = world.client(&world.leader()).propose_duty_transfer(world.proposal(world.d.station)).await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists, "one duty at a time");
    world.told().await;
    world.d.service.clock().advance(4 * DAY);
    let over = world.becomes(&id, pb::DutyTransferState::RolledBack).await;
    assert_eq!(over.reason_code, "deadline");
    assert_eq!(world.told().await, ["DutyRolledBack"]);
    let late = AuthorityGranted {
        duty_transfer_id: id.clone(),
        to_org_id: world.d.station.to_string(),
        basis_ref: "doc:late".into(),
    };
    world.answered("identity", &id, &late).await;
    assert_eq!(world.transfer(&id).await, over);
    assert!(world.told().await.is_empty());

    // The item is free again; each refusal rolls back at once.
    let proposal = |world: &Duties| pb::ProposeDutyTransferRequest {
        effective_on: "2026-04-01".into(),
        deadline_time: None,
        ..world.proposal(world.d.station)
    };
    for leg in 0..3 {
        let id = world.asked(proposal(&world)).await.duty_transfer_id;
        let (duty_transfer_id, to_org_id) = (id.clone(), world.d.station.to_string());
        let reason_code = "no".to_owned();
        match leg {
            0 => {
                let refused = AuthorityRefused { duty_transfer_id, to_org_id, reason_code };
                world.answered("identity", &id, &refused).await;
            }
            1 => {
                world.all_three(&id).await;
                let refused = FundsRefused { duty_transfer_id, to_org_id, reason_code };
                world.answered("staffing", &id, &refused).await;
            }
            _ => {
                let refused = StaffUnavailable { duty_transfer_id, to_org_id, reason_code };
                world.answered("staffing", &id, &refused).await;
            }
        }
        let over = world.transfer(&id).await;
        let expected = ["authority_refused", "funds_refused", "staff_unavailable"][leg];
        assert_eq!((over.state(), over.reason_code.as_str()), (pb::DutyTransferState::RolledBack, expected));
    }
    assert_eq!(world.lead().await, world.department.to_string());
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_what_is_out_of_reach_is_not_there() {
    let world = Duties::start().await;
    let d = &world.d;
    let mut leader = world.client(&world.leader());
    type Change = fn(&mut pb::ProposeDutyTransferRequest, &Duties);
    let wrong: [(&str, Change); 9] = [
        ("from_org_id", |r, w| r.from_org_id = w.d.office.to_string()),
        ("to_org_id", |r, w| r.to_org_id = w.d.centre.to_string()),
        ("item_codes[0]", |r, _| r.item_codes = vec!["CJ-0108".into()]),
        ("item_codes[0]", |r, _| r.item_codes = vec!["CJ-0115".into()]),
        ("item_codes[1]", |r, _| r.item_codes.push(LAMP.into())),
        ("effective_on", |r, _| r.effective_on = "2026-03-02".into()),
        ("deadline_time", |r, _| r.deadline_time = Some("2026-03-10T00:00:00Z".parse().unwrap())),
        ("posts[0].count", |r, _| r.posts[0].count = 0),
        ("training_codes[0]", |r, _| r.training_codes = vec!["Not a code".into()]),
    ];
    for (field, change) in wrong {
        let mut request = world.proposal(d.station);
        change(&mut request, &world);
        let status = leader.propose_duty_transfer(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(field), "{field}: {status}");
    }
    let made = world.proposed().await;
    let get = |id: &str| pb::GetDutyTransferRequest { duty_transfer_id: id.into() };
    let elsewhere = Persona::new(Role::StreetLeader, d.other_street).org(d.other_office);
    let other_line = Persona::new(Role::DeptLeader, d.district).line("housing");
    for stranger in [elsewhere, other_line] {
        let mut client = world.client(&stranger);
        let foreign = client.get_duty_transfer(get(&made.duty_transfer_id)).await.unwrap_err();
        let missing = client.get_duty_transfer(get(&new_id().to_string())).await.unwrap_err();
        assert_eq!((foreign.code(), missing.code()), (Code::NotFound, Code::NotFound));
        let list = pb::ListDutyTransfersRequest::default();
        assert!(client.list_duty_transfers(list).await.unwrap().into_inner().transfers.is_empty());
    }
    let list = pb::ListDutyTransfersRequest::default();
    let seen = world.client(&world.member()).list_duty_transfers(list).await.unwrap().into_inner().transfers;
    assert_eq!(seen, [made]);
    world.d.service.stop().await;
}
