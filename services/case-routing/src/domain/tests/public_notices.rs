//! C-9: a public notice is shown only until its last day is over, whoever does whatever in between and however late the timer
//! comes; and it shows what stands on the whitelist and nothing else.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::super::ApplicationState as S;
use super::super::*;
use super::application_history::{Step, step};
use super::application_world::*;
use super::world::*;

/// The public copies, kept as the store keeps them: written when a notice begins, removed when the case shows it no longer.
#[derive(Default)]
struct Board(BTreeMap<NoticeId, NewNotice>);

impl Board {
    fn follow(&mut self, case: &Case, begun: Option<NewNotice>) {
        let shown = shown(case).map(|notice| notice.id);
        self.0.retain(|id, _| Some(*id) == shown);
        if let Some(notice) = begun.filter(|notice| Some(notice.id) == shown) {
            self.0.insert(notice.id, notice);
        }
    }

    /// What everybody sees at an instant.
    fn seen(&self, now: Timestamp) -> Vec<&NewNotice> {
        self.0.values().filter(|notice| notice.over_at > now).collect()
    }
}

fn shown(case: &Case) -> Option<&CurrentNotice> {
    case.application.as_ref().and_then(|face| face.notice.as_ref())
}

/// Everything that a notice holds. Whoever adds a field has to decide here whether everybody may see it; item and place come
/// from the case, the place down to the community.
fn whitelisted(notice: &NewNotice) {
    let NewNotice { id, name_masked, first_day, over_at } = notice;
    assert!(!id.0.is_nil());
    let mut masked = name_masked.chars();
    assert!(masked.next().is_some_and(char::is_alphabetic) && masked.as_str() == "**", "{name_masked}");
    assert!(*over_at > Timestamp::UNIX_EPOCH && calendar::local_day(*over_at) > *first_day);
}

/// What must hold after every command and every tick.
fn check(way: &Way, board: &Board, now: Timestamp) {
    let (case, papers) = (&way.case, &way.papers);
    if let Some(notice) = shown(case) {
        assert!(notice.over_at > now, "shown at {now}, though over at {}", notice.over_at);
        assert_eq!(way.state(), S::PublicNotice);
        assert!(case.next_timer_at().is_some_and(|at| at <= notice.over_at), "nothing takes it down");
        let on_file = papers.notices.last().expect("every notice is on file");
        assert_eq!((on_file.id, on_file.over_at), (notice.id, notice.over_at));
    }
    let seen = board.seen(now);
    assert_eq!(seen.first().map(|notice| notice.id), shown(case).map(|notice| notice.id));
    assert!(seen.len() <= 1 && board.0.len() <= 1, "one application shows one notice");
    seen.into_iter().for_each(whitelisted);
}

/// Where a history begins, with the notice that is shown there, if one is.
fn begin(world: &mut World, start: S) -> (Way, Board) {
    let mut board = Board::default();
    if start != S::PublicNotice {
        return (world.way(RELIEF, start), board);
    }
    let Way { papers, case } = world.way(RELIEF, S::Reviewed);
    let act = world.act(person("rita", STREET_OFFICE));
    let filed = papers.publish_notice(masked_name("王小明").unwrap(), case, &act).unwrap();
    board.follow(&filed.decision.case, filed.notice.clone());
    (Way::of(filed), board)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..Default::default() })]

    #[test]
    fn no_history_shows_a_notice_after_its_last_day(
        start in 0_usize..4,
        steps in proptest::collection::vec((0_u8..20, 0_u8..7, 0_i64..9, 0_i64..40), 1..120),
    ) {
        let mut world = world();
        let starts = [S::Investigating, S::Reviewed, S::PublicNotice, S::Reinvestigating];
        let (mut way, mut board) = begin(&mut world, starts[start]);
        check(&way, &board, world.now);
        for (verb, who, days, hours) in steps {
            // Time goes by, and the timer has not come yet: nobody sees what is over.
            world.wait(TimeDelta::hours(hours));
            prop_assert!(board.seen(world.now).iter().all(|notice| notice.over_at > world.now));
            let tried = step(&mut world, &way, verb, who, days);
            let Some(Step { way: after, notice: begun, .. }) = tried else { continue };
            way = after;
            board.follow(&way.case, begun);
            check(&way, &board, world.now);
            // The timer comes: what is over is taken down for good.
            if let Some(ticked) = way.case.clone().tick(&world.system()).unwrap() {
                way.case = ticked.case;
                board.follow(&way.case, None);
                check(&way, &board, world.now);
            }
        }
        world.wait(TimeDelta::days(60));
        if let Some(ticked) = way.case.clone().tick(&world.system()).unwrap() {
            board.follow(&ticked.case, None);
            prop_assert!(shown(&ticked.case).is_none() && board.0.is_empty(), "it expired by itself");
        }
    }

    /// What is told of a notice names neither a person nor the masked name: its id and when it is over.
    #[test]
    fn of_a_name_only_the_first_character_is_shown(name in "[一-龥]{2,6}") {
        let masked = masked_name(&name).unwrap();
        let first: String = name.chars().take(1).collect();
        prop_assert_eq!(&masked, &format!("{first}**"));
        let mut world = world();
        let Way { papers, case } = world.way(RELIEF, S::Reviewed);
        let act = world.act(person("rita", STREET_OFFICE));
        let filed = papers.publish_notice(masked.clone(), case, &act).unwrap();
        whitelisted(filed.notice.as_ref().unwrap());
        for emitted in &filed.decision.events {
            if let DomainEvent::Application { news: ApplicationNews::Noticed { notice_id, over_at } } = &emitted.event {
                let notice = filed.notice.as_ref().unwrap();
                prop_assert_eq!((*notice_id, *over_at), (notice.id, notice.over_at));
            }
        }
        let kept = serde_json::to_string(&filed.decision.case).unwrap();
        prop_assert!(!kept.contains(&name) && !kept.contains(&masked), "the case keeps no name");
        let told = format!("{:?}{:?}", filed.decision.events, filed.decision.timeline);
        prop_assert!(!told.contains(&name) && !told.contains(&masked), "nobody is told a name");
    }
}
