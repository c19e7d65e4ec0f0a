//! Cases that officials found without a requester: topic cases, and what was found on patrol. They come in, are triaged and
//! routed in one command, as at the window.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{Decide, Decision},
};
use uuid::Uuid;

use super::{
    desk::Desk,
    register::{TEXT, receiver},
};
use crate::{
    atlas::World,
    domain::{
        Case, CaseId, Channel, IntakeCase, OnTheSpot, Origin, Point, RegisterCase, RouteChoice, TriageCase,
        UnitId, Urgency,
    },
    record::CaseRecord,
    redact::redact,
    verb::{act, decided, party, refused},
};

/// What is founded.
pub struct Matter {
    pub item_code: String,
    pub place: Uuid,
    pub grid: Option<String>,
    pub point: Option<Point>,
    pub text: String,
    pub channel: Channel,
    pub origin: Origin,
    pub urgency: Urgency,
}

/// The command that founds a case.
pub struct Founding {
    pub case_id: CaseId,
    world: Arc<World>,
    seed: Uuid,
    command: RegisterCase,
    sealed_text: Vec<u8>,
    pub client_key: Option<Vec<u8>>,
    /// It was put right by its finder.
    pub solved: Option<OnTheSpot>,
}

impl Desk {
    /// The command for a matter, with a fresh id and number, and its original text sealed.
    pub async fn founding(&self, world: &Arc<World>, caller: &Caller, matter: Matter) -> Result<Founding> {
        let item = world.item(&matter.item_code, self.clock.now());
        let item = item.ok_or_else(|| Error::invalid("item_code", "no such item in the catalogue"))?;
        let path = world.open_path(matter.place);
        let path = path.ok_or_else(|| Error::invalid("place_unit_id", "no such unit"))?;
        let receiver = receiver(world, caller, &path, self.clock.now());
        let receiver =
            receiver.ok_or_else(|| Error::invalid("place_unit_id", "nobody receives requests there"))?;
        let case_id = CaseId(new_id());
        let case_no = self.case_no(world, matter.place).await?;
        let command = RegisterCase {
            case_id,
            case_no,
            channel: matter.channel,
            origin: matter.origin,
            nature: item.nature,
            item_code: Some(matter.item_code),
            urgency: matter.urgency,
            anonymous: false,
            vulnerable: false,
            requester: None,
            place_unit: UnitId(matter.place),
            grid: matter.grid,
            point: matter.point,
            receiver,
            text_redacted: redact(&matter.text),
            text_ref: Some(case_id.0),
            complained_of: None,
            society_agreed: false,
        };
        let sealed_text = self.crypto.seal(TEXT, matter.text.as_bytes(), case_id.0.as_bytes());
        let (world, seed) = (world.clone(), new_id());
        Ok(Founding { case_id, world, seed, command, sealed_text, client_key: None, solved: None })
    }
}

impl Decide<CaseRecord> for Founding {
    fn decide(&self, _: Option<&CaseRecord>, by: &Caller, now: Timestamp) -> Result<Decision<CaseRecord>> {
        let act = act(&self.world, self.seed, party(None, by), now);
        let (register, triage) = (self.command.clone(), TriageCase::default());
        let intake = IntakeCase { register, triage, route: RouteChoice::Auto };
        let decision = match &self.solved {
            None => Case::intake(intake, &act),
            Some(done) => Case::intake_solved(intake, done, &act),
        };
        let mut decided = decided(None, decision.map_err(|error| refused(self.case_id, error))?, by);
        decided.aggregate.pending.sealed_text = Some(self.sealed_text.clone());
        decided.aggregate.pending.client_key.clone_from(&self.client_key);
        Ok(decided)
    }
}
