//! What people do, as sentences: `resident.registers(…)`, `leader.signs(&case)`. They are those of the scenarios
//! (`jianghan::scenario::verbs`); here each must succeed: a refusal fails the test with the person and the RPC.

use jianghan::scenario;
use proto::{
    case_routing::v1::{AssignmentStatus, Case, CaseState, RegisterCaseRequest},
    volunteer_matching::v1::{GetOfferRequest, OfferState},
};

use crate::{Person, World, eventually};

fn must<T>(outcome: anyhow::Result<T>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error:#}"))
}

macro_rules! verbs {
    ($($name:ident(case $(, $arg:ident: $ty:ty)*) -> $out:ty;)*) => {
        impl Person<'_> {$(
            #[doc = concat!("`", stringify!($name), "` of the scenarios.")]
            pub async fn $name(&self, case: &Case $(, $arg: $ty)*) -> $out {
                must(self.acts().$name(case $(, $arg)*).await)
            }
        )*}
    };
}

verbs! {
    accepts(case) -> Case;
    triages(case, item: &str, agrees_to_society: bool) -> Case;
    dispatches(case) -> Case;
    signs(case) -> Case;
    signs_for(case, task_id: &str) -> Case;
    submits(case, task_id: &str) -> Case;
    contacts(case) -> Case;
    completes(case) -> Case;
    objects(case, suggested_org_id: &str) -> Case;
    rejects_objection(case) -> Case;
    arbitrates(case) -> Case;
    takes_position(case, lead_org_id: &str) -> Case;
    rules(case, lead_org_id: &str) -> Case;
    whistles(case, org_ids: &[String]) -> Case;
    reports_in(case, task_id: &str) -> Case;
    appraises(case, task_id: &str, positive: bool) -> Case;
    supervises(case, level: i32) -> Case;
    answers(case) -> Case;
    clears(case) -> Case;
    verifies(case, grade: i32) -> Case;
    orders_rework(case) -> Case;
    rates(case, grade: i32) -> Case;
    judges(case, valid: bool) -> Case;
    withdraws(case) -> Case;
    accepts_offer(case) -> ();
    declines_offer(case) -> ();
    gives_up(case) -> ();
    helped(case) -> ();
    accepts_assignment(case) -> ();
    arrives(case) -> ();
    finishes(case) -> ();
}

impl Person<'_> {
    /// The same person on the stage of the scenarios.
    pub fn acts(&self) -> scenario::Person<'_> {
        scenario::Person { stage: &self.world.stage, session: self.session.clone() }
    }

    /// What a resident sends to register a request at a place.
    pub fn registration(&self, text: &str, place_unit_id: &str) -> RegisterCaseRequest {
        self.acts().registration(text, place_unit_id)
    }

    /// Registers a request for themselves.
    pub async fn registers(&self, text: &str, place_unit_id: &str) -> Case {
        must(self.acts().registers(text, place_unit_id).await)
    }

    /// Registers for a resident at the window and dispatches at once.
    pub async fn takes_in(
        &self,
        requester: &Person<'_>,
        text: &str,
        item: &str,
        place_unit_id: &str,
    ) -> Case {
        must(self.acts().takes_in(&requester.acts(), text, item, place_unit_id).await)
    }
}

impl World {
    /// The case as the district dispatcher sees it.
    pub async fn looks_at(&self, case_id: &str) -> Case {
        must(self.stage.looks_at(case_id).await)
    }

    /// Waits until a case is as described.
    pub async fn sees(&self, case: &Case, what: &str, done: impl Fn(&Case) -> bool) -> Case {
        must(self.stage.sees(case, what, done).await)
    }

    /// Waits until a case is in a state.
    pub async fn sees_state(&self, case: &Case, state: CaseState) -> Case {
        must(self.stage.sees_state(case, state).await)
    }

    /// Waits until the lead task shows how its assignment stands.
    pub async fn sees_assignment(&self, case: &Case, status: AssignmentStatus) -> Case {
        must(self.stage.sees_assignment(case, status).await)
    }

    /// Waits until the partner of a case sees the offer in a state.
    pub async fn sees_offer(&self, case: &Case, state: OfferState) {
        let offer_id = case.offer.as_ref().expect("an offer").offer_id.clone();
        let partner = self.partner_of(case);
        eventually(state.as_str_name(), async || {
            let request = partner.asks(GetOfferRequest { offer_id: offer_id.clone() }).await;
            let offer = self.patient.offers().get_offer(request).await.ok()?.into_inner().offer?;
            (offer.state() == state).then_some(())
        })
        .await;
    }
}
