//! To which pages a reader is led: those whose list the service behind gives to one of the reader's roles, by the policy of its
//! RPC. What the token says is read and not checked: a link is no permission, and the service decides whatever is shown.

use std::sync::LazyLock;

use axum::http::HeaderMap;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::auth::{Access, GrantClaim, Policy, PolicyTable, Role};
use serde::Deserialize;

use super::session::Session;
use crate::App;

static POLICIES: LazyLock<PolicyTable> = LazyLock::new(PolicyTable::of_suite);

const BOARD: &str = "/jianghan.analytics.v1.IndicatorService/GetBoard";
const CASES: &str = "/jianghan.case_routing.v1.CaseService/ListCases";
const HOTSPOTS: &str = "/jianghan.case_routing.v1.HotspotService/ListHotspots";
const TOPIC: &str = "/jianghan.case_routing.v1.HotspotService/OpenTopicCase";
const MEDIATIONS: &str = "/jianghan.case_routing.v1.MediationService/ListMediations";
const DUTIES: &str = "/jianghan.case_routing.v1.DutyService/ListDutyTransfers";
const ASSESS: &str = "/jianghan.case_routing.v1.DutyService/AssessDutyTransfer";
const TRAIN: &str = "/jianghan.staffing.v1.DutyResourceService/CompleteDutyTraining";

/// Links that not everybody has. Nobody who is not signed in has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Somebody is signed in: the own password and the way out.
    pub signed_in: bool,
    pub board: bool,
    pub cases: bool,
    pub hotspots: bool,
    /// The forms by which hot spots are answered: not all who see them answer them.
    pub answers_hotspots: bool,
    pub mediations: bool,
    pub duties: bool,
    /// The forms by which transfers and admissions are assessed.
    pub assesses_duties: bool,
    /// The forms by which the courses of a transfer are done or refused.
    pub trains_for_duties: bool,
}

/// What of an access token is looked at.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    grants: Vec<GrantClaim>,
}

impl Links {
    /// Those of a signed-in person.
    pub fn of(session: &Session) -> Self {
        let grants = grants(&session.access).unwrap_or_default();
        let leads = |path| POLICIES.get(path).is_some_and(|policy| allows(policy, &grants));
        Self {
            signed_in: true,
            board: leads(BOARD),
            cases: leads(CASES),
            hotspots: leads(HOTSPOTS),
            answers_hotspots: leads(TOPIC),
            mediations: leads(MEDIATIONS),
            duties: leads(DUTIES),
            assesses_duties: leads(ASSESS),
            trains_for_duties: leads(TRAIN),
        }
    }

    /// Those of whoever sends the cookie of a session, over or not; of a page that asks nobody for it.
    pub fn kept(app: &App, headers: &HeaderMap) -> Self {
        Session::sealed_in(app, headers).map(|session| Self::of(&session)).unwrap_or_default()
    }

    /// Where a reader begins who may not see the board; nothing where no page is for them.
    pub fn first(self) -> Option<&'static str> {
        let pages = [
            (self.cases, "/cases"),
            (self.mediations, "/mediations"),
            (self.duties, "/duties"),
            (self.hotspots, "/hotspots"),
        ];
        pages.into_iter().find_map(|(led, page)| led.then_some(page))
    }
}

/// The grants in the payload of a JWT.
fn grants(token: &str) -> Option<Vec<GrantClaim>> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Payload>(&payload).ok().map(|payload| payload.grants)
}

/// Whether two access tokens reach the same cases: their grants that count for a list of cases are the same.
pub fn reach_the_same_cases(one: &str, other: &str) -> bool {
    let reach = |token: &str| {
        let policy = POLICIES.get(CASES)?;
        let mut grants = grants(token)?;
        grants.retain(|grant| allows(policy, std::slice::from_ref(grant)));
        Some(grants)
    };
    reach(one) == reach(other)
}

fn allows(policy: &Policy, grants: &[GrantClaim]) -> bool {
    let Access::Roles(roles) = policy.access else { return policy.access != Access::Service };
    grants.iter().any(|GrantClaim(role, _, _, _, purposes)| {
        Role::try_from(*role).is_ok_and(|role| roles.contains(role))
            && purposes.as_ref().is_none_or(|all| all.contains(&policy.purpose))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_and_form_is_for_roles() {
        for path in [BOARD, CASES, HOTSPOTS, TOPIC, MEDIATIONS, DUTIES, ASSESS, TRAIN] {
            let policy = POLICIES.get(path).unwrap_or_else(|| panic!("{path} has no policy"));
            assert!(matches!(policy.access, Access::Roles(_)), "{path}");
            assert!(!allows(policy, &[]));
        }
    }

    #[test]
    fn who_opens_topic_cases_dismisses_hot_spots_too() {
        let dismiss = "/jianghan.case_routing.v1.HotspotService/DismissHotspot";
        assert_eq!(POLICIES.get(TOPIC), POLICIES.get(dismiss), "the two forms are shown together");
    }

    #[test]
    fn who_assesses_transfers_assesses_admissions_and_who_trains_may_refuse_to() {
        let admission = "/jianghan.case_routing.v1.DutyService/AssessAdmission";
        assert_eq!(POLICIES.get(ASSESS), POLICIES.get(admission), "one link stands for both");
        let refuse = "/jianghan.staffing.v1.DutyResourceService/RefuseDutyTraining";
        assert_eq!(POLICIES.get(TRAIN), POLICIES.get(refuse), "the two forms are shown together");
    }

    #[test]
    fn a_reader_begins_where_there_is_something() {
        assert_eq!(Links { board: true, ..Links::default() }.first(), None, "the board itself was refused");
        let all = Links { cases: true, mediations: true, duties: true, ..Links::default() };
        assert_eq!(all.first(), Some("/cases"));
        assert_eq!(Links { cases: false, ..all }.first(), Some("/mediations"));
        assert_eq!(Links { duties: true, ..Links::default() }.first(), Some("/duties"));
    }

    #[test]
    fn what_is_no_token_grants_nothing() {
        for token in ["", "access-600", "a.b.c", "..", "e30.e30.e30"] {
            assert!(grants(token).unwrap_or_default().is_empty(), "{token}");
        }
    }
}
