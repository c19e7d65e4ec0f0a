//! Words that are added to a case. Those of a merged one are heard where the matter is worked on, too, as long as it is merged;
//! whoever asked there does not read what others said.

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Commands, Executor, Target, once},
    db::Tx,
    proto::case_routing::v1 as pb,
};

use super::desk::{Aim, Desk, told};
use crate::{
    domain::{self, Act, Case, CaseId, Decision, DomainError, OrgId, RemarkKind, Trigger},
    reach,
    record::CaseRecord,
    remark::{Saying, Words, heard},
    store::{case_store::CaseStore, read, remarks::Remark},
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
fn say_alone(case: Case, act: Act<'_>, by: &Caller) -> domain::Result<Decision> {
    if case.merged_into.is_some() {
        return Err(DomainError::WrongState { state: case.state, verb: Trigger::Merge });
    }
    say(case, act, by)
}

/// Adds words to a case that was not merged when it was looked at.
pub(super) async fn add_alone(
    desk: &Desk,
    caller: &Caller,
    aim: Aim,
    text: &str,
) -> Result<pb::AddRemarkResponse> {
    let world = desk.atlas.world();
    let command = Verb::new(world.clone(), aim.id, aim.etag, say_alone).on_what_was_found();
    let command = Saying { command, words: Words::of(&desk.crypto, RemarkKind::Remark, text) };
    let answer = move |record: &CaseRecord| pb::AddRemarkResponse { case: Some(told(record, &world)) };
    Executor::execute(&desk.executor, caller, aim.meta, aim.id, Target::Existing, command, answer).await
}

/// The organisation that takes part and that the caller speaks for.
fn part_in(case: &Case, by: &Caller) -> Option<OrgId> {
    reach::part_orgs(by).into_iter().map(OrgId).find(|org| case.is_party(*org))
}

/// Adds words to a merged case and, in the same commit, notes them where it is worked on, if they are [heard](Case::hears) there.
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
        let complaint = joined.complaint();
        if let Some(original) = original.filter(|known| known.case.hears(joined.id, complaint.as_ref())) {
            let own = reach::is_requester(&joined, caller);
            let speaker = part_in(&joined, caller).filter(|_| !own);
            let words = Words::heard(&desk.crypto, &joined, text);
            let id = original.case.id;
            commands.push((id, heard(world.clone(), id, &joined, speaker, words)));
        }
        let records = desk.executor.apply(tx, caller, commands).await?;
        Ok(pb::AddRemarkResponse { case: records.first().map(|record| told(record, &world)) })
    })
    .await
}

/// Whether the caller reads words: not those of the other requests that were merged into the own one, and nobody what was said in
/// a case that has left since.
pub(super) fn is_shown(said: &Remark, case: &Case, by: &Caller) -> bool {
    let joined = said.kind == RemarkKind::Joined.as_str();
    !joined || (!reach::is_requester(case, by) && case.shows_words_of(said.source_case_id.map(CaseId)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        CaseState,
        tests::world::{STATION, World},
    };

    #[test]
    fn what_was_merged_since_the_look_is_not_said_past_those_who_work_on_the_matter() {
        let mut world = World::new();
        let original = world.registered();
        let merged = world.registered().merge(original.id, &world.official(STATION)).unwrap().case;
        let refused = say_alone(merged, world.resident(), &Caller::system("case-routing"));
        // Of what was found otherwise this is ABORTED.
        assert_eq!(refused, Err(DomainError::WrongState { state: CaseState::Merged, verb: Trigger::Merge }));
    }
}
