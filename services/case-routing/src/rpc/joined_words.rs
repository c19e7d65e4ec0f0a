//! Words that are added to a case. Those of a merged one are heard where the matter is worked on, too; whoever asked there does
//! not read what others said.

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Commands, once},
    db::Tx,
    proto::case_routing::v1 as pb,
};

use super::desk::{Aim, Desk, told};
use crate::{
    domain::{self, Act, Case, Decision, DomainError, OrgId, RemarkKind, Trigger},
    reach,
    remark::{Saying, Words, heard},
    store::{case_store::CaseStore, read},
    verb::{Verb, acting_for, in_own_case},
};

/// The requester says something, or somebody for an organisation that takes part.
fn say(case: Case, act: Act<'_>, by: &Caller) -> domain::Result<Decision> {
    if reach::is_requester(&case, by) {
        let act = in_own_case(act, by, &case);
        return case.add_remark(&act);
    }
    let part = part_in(&case, by);
    case.add_remark(&acting_for(act, by, part))
}

/// In a case that was not merged when it was looked at.
pub(super) fn say_alone(case: Case, act: Act<'_>, by: &Caller) -> domain::Result<Decision> {
    if case.merged_into.is_some() {
        let message = "the case was merged just now: say it again".to_owned();
        return Err(DomainError::Guard { code: "merged_meanwhile", message });
    }
    say(case, act, by)
}

/// The organisation that takes part and that the caller speaks for.
fn part_in(case: &Case, by: &Caller) -> Option<OrgId> {
    reach::part_orgs(by).into_iter().map(OrgId).find(|org| case.is_party(*org))
}

/// Adds words to a merged case and, in the same commit, notes them where it is worked on, as long as there is room.
pub(super) async fn add(desk: &Desk, caller: &Caller, aim: Aim, text: &str) -> Result<pb::AddRemarkResponse> {
    let world = desk.atlas.world();
    once(&desk.db, caller, aim.meta, async |tx: &mut Tx<'_>| {
        let found = read::case(tx.conn, aim.id).await?;
        let found = found.filter(|record| reach::reaches(&record.case, caller));
        let joined = found.ok_or_else(|| Error::not_found("case", aim.id.to_string()))?.case;
        let original = read::original(tx.conn, &joined).await?;
        let into = joined.merged_into;
        let add = move |case: Case, act: Act<'_>, by: &Caller| {
            // Found in another case, it would be heard in the wrong one.
            if case.merged_into == into {
                say(case, act, by)
            } else {
                Err(DomainError::WrongState { state: case.state, verb: Trigger::Merge })
            }
        };
        let add = Verb::new(world.clone(), aim.id, aim.etag, add).within_reach().on_what_was_found();
        let words = Words::of(&desk.crypto, RemarkKind::Remark, text);
        let mut commands: Commands<CaseStore> = vec![(aim.id, Box::new(Saying { command: add, words }))];
        if let Some(original) = original.filter(|original| original.case.takes_words()) {
            let own = reach::is_requester(&joined, caller);
            let speaker = part_in(&joined, caller).filter(|_| !own);
            let words = Words::heard(&desk.crypto, text);
            let id = original.case.id;
            commands.push((id, heard(world.clone(), id, speaker, words)));
        }
        let records = desk.executor.apply(tx, caller, commands).await?;
        Ok(pb::AddRemarkResponse { case: records.first().map(|record| told(record, &world)) })
    })
    .await
}

/// Whether the caller reads words of a kind: not those of the other requests that were merged into the own one.
pub(super) fn is_shown(kind: &str, case: &Case, by: &Caller) -> bool {
    kind != RemarkKind::Joined.as_str() || !reach::is_requester(case, by)
}
