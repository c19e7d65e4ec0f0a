//! What follows the calendar besides clocks (see [`super::follow`]): the time to answer a supervision, and after an answer the
//! time until it rises; the last day of a public notice, which is moved past rest days; and the day by which the papers of an
//! urgent grant have to come.

use super::application::{MovedNotice, day_before};
use super::application_inquiry::INSTANT;
use super::application_news::ApplicationNews;
use super::case::{Case, Supervision};
use super::codes::SupervisionState;
use super::counted::Counted;
use super::event::{DomainEvent, Timestamp};
use super::follow::told;
use super::ids::{SupervisionId, TaskId};
use super::reason::Reason;
use super::rules::Rules;
use super::supervision::TOP_LEVEL;
use super::work::Work;

/// What is told of a due time that moved later.
struct Moved {
    event: DomainEvent,
    reason: Reason,
    task: Option<TaskId>,
}

impl Case {
    /// How each of them that still runs was counted.
    pub(super) fn days_counted(&self) -> impl Iterator<Item = &Counted> {
        let supervisions = self.supervisions.iter().filter(move |known| self.is_awaited(known));
        let face = self.application.as_ref();
        let notice = face.and_then(|face| face.notice.as_ref()?.counted.as_ref());
        let papers = face.and_then(|face| face.papers_due_at.and(face.papers_counted.as_ref()));
        supervisions.filter_map(|known| known.counted.as_ref()).chain(notice).chain(papers)
    }

    /// Whether something is waited for of a supervision. In a case that has ended only what time does by itself is.
    fn is_awaited(&self, supervision: &Supervision) -> bool {
        use SupervisionState::{Acknowledged, Answered, Cleared, Issued};
        match supervision.state {
            Cleared => false,
            _ if !self.state.is_finished() => true,
            Issued | Acknowledged => (1..TOP_LEVEL).contains(&supervision.level) && !self.rests(supervision),
            Answered => self.rises_at(supervision).is_some(),
        }
    }

    /// Whether its time is still to come, or a timer follows it. What is over or leads to nothing does not move.
    fn is_to_come(&self, supervision: &Supervision, now: Timestamp) -> bool {
        let rises = (1..TOP_LEVEL).contains(&supervision.level);
        if supervision.state != SupervisionState::Answered {
            return rises || supervision.due_at > now;
        }
        let ahead = supervision.rises_at.is_some_and(|at| at > now);
        (rises && ahead) || self.rises_at(supervision).is_some()
    }
}

impl Work<'_> {
    /// Counts those again of which `again` says so; what moves later is told.
    pub(super) fn count_days_again(&mut self, again: fn(&Counted, &Rules) -> bool) {
        let mut moved = self.move_supervisions(again);
        moved.extend(self.prolong_notice(again));
        moved.extend(self.move_papers(again));
        for Moved { event, reason, task } in moved {
            self.emit(event, Some(reason), task);
        }
    }

    fn move_supervisions(&mut self, again: fn(&Counted, &Rules) -> bool) -> Vec<Moved> {
        let (rules, now) = (self.rules, self.now);
        let case = &self.case;
        let awaited = case.supervisions.iter().filter(|known| case.is_awaited(known));
        let awaited: Vec<(SupervisionId, bool)> =
            awaited.map(|known| (known.id, case.is_to_come(known, now))).collect();
        let supervisions = self.case.supervisions.iter_mut().filter_map(|known| {
            let (_, to_come) = *awaited.iter().find(|(id, _)| *id == known.id)?;
            move_supervision(known, to_come, again, rules)
        });
        supervisions.collect()
    }

    fn prolong_notice(&mut self, again: fn(&Counted, &Rules) -> bool) -> Option<Moved> {
        let rules = self.rules;
        let face = self.case.application.as_mut()?;
        let notice = face.notice.as_mut()?;
        let counted = notice.counted.as_mut().filter(|counted| again(counted, rules))?;
        let (id, over_before_at) = (notice.id, notice.over_at);
        let over_at = counted.recount(over_before_at - INSTANT, rules) + INSTANT;
        let calendar_version = counted.calendar_version;
        notice.over_at = over_at;
        face.moved.notices.retain(|known| known.id != id);
        face.moved.notices.push(MovedNotice { id, over_at, calendar_version });
        let reason = Reason::new("notice_prolonged");
        let reason = reason.with("from", day_before(over_before_at)).with("to", day_before(over_at));
        let news =
            ApplicationNews::NoticeProlonged { notice_id: id, over_before_at, over_at, calendar_version };
        let event = DomainEvent::Application { news };
        (over_at > over_before_at).then_some(Moved { event, reason, task: None })
    }

    fn move_papers(&mut self, again: fn(&Counted, &Rules) -> bool) -> Option<Moved> {
        let rules = self.rules;
        let face = self.case.application.as_mut()?;
        let due_before_at = face.papers_due_at?;
        let counted = face.papers_counted.as_mut().filter(|counted| again(counted, rules))?;
        let due_at = counted.recount(due_before_at, rules);
        let calendar_version = counted.calendar_version;
        face.papers_due_at = Some(due_at);
        face.moved.papers = Some((due_at, calendar_version));
        let reason = Reason::new("papers_moved").with("from", told(due_before_at)).with("to", told(due_at));
        let news = ApplicationNews::PapersMoved { due_before_at, due_at, calendar_version };
        let event = DomainEvent::Application { news };
        (due_at > due_before_at).then_some(Moved { event, reason, task: None })
    }
}

/// The time to answer while nobody has, else the one until it rises. What an answer promised is nothing that was counted. Of
/// one that has nothing to come only the calendar is noted, so that it is not behind for ever.
fn move_supervision(
    supervision: &mut Supervision,
    to_come: bool,
    again: fn(&Counted, &Rules) -> bool,
    rules: &Rules,
) -> Option<Moved> {
    let rises = supervision.state == SupervisionState::Answered;
    let counted = supervision.counted.as_mut().filter(|counted| again(counted, rules))?;
    let due = if rises { supervision.rises_at.as_mut() } else { Some(&mut supervision.due_at) };
    let Some(due) = due.filter(|_| to_come) else {
        counted.calendar_version = rules.calendar.version_with(&rules.profile);
        return None;
    };
    let due_before_at = *due;
    let due_at = counted.recount(due_before_at, rules);
    *due = due_at;
    let code = if rises { "supervision_rise_moved" } else { "supervision_moved" };
    let reason = Reason::new(code).with("from", told(due_before_at)).with("to", told(due_at));
    let (supervision_id, calendar_version) = (supervision.id, counted.calendar_version);
    let event =
        DomainEvent::SupervisionMoved { supervision_id, rises, due_before_at, due_at, calendar_version };
    (due_at > due_before_at).then_some(Moved { event, reason, task: supervision.task })
}
