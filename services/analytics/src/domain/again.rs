//! What counts of a case whose work begins again: it is sent back, opened again, or given to another lead.

use proto::case_routing::v1::{ClosedCode, DeliveryMode};
use uuid::Uuid;

use super::{
    delta::ALL,
    golden::{applied, totals, value},
    story::{Story, Verdict, at},
};

/// Numerator and denominator in June.
fn june(story: &Story, code: &str) -> (i64, i64) {
    let june = totals(&applied(std::slice::from_ref(story)), ALL, "2026-06-01", "2026-07-01");
    let found = value(&june, code);
    (found.numerator, found.denominator)
}

/// Signed for by its first lead, whose task comes with it, and due on the tenth.
fn begun() -> (Story, Uuid) {
    let start = at("2026-06-01", 9);
    let mut story = Story::register(start, Uuid::from_u128(1));
    story.accept(start, at("2026-06-10", 18), true).triage(start, "roof", "housing");
    let task = story.dispatch(start, DeliveryMode::GovDirect, true, true);
    story.sign(start, task, true);
    (story, task)
}

#[test]
fn what_came_too_late_and_was_sent_back_was_late_all_the_same() {
    let (mut story, task) = begun();
    story
        .contact(at("2026-06-02", 9), true)
        .complete(at("2026-06-12", 9), task, false, 7200)
        .rework(at("2026-06-15", 9), task, at("2026-06-18", 18))
        .complete(at("2026-06-16", 9), task, true, 3600)
        .verify(at("2026-06-17", 9), Verdict::good())
        .close(at("2026-06-17", 10), ClosedCode::Resolved);
    assert_eq!((june(&story, "I-06"), june(&story, "I-07")), ((1, 1), (0, 1)));
    let stock = |story: &Story, code: &str, end: &str| {
        let deltas = applied(std::slice::from_ref(story));
        value(&totals(&deltas, ALL, "2026-06-01", end), code).value
    };
    let late = |story: &Story| {
        ["2026-06-10", "2026-06-11", "2026-06-12", "2026-06-13"].map(|end| stock(story, "I-12", end))
    };
    let expected = [Some(0.0), Some(1.0), Some(1.0), Some(0.0)];
    assert_eq!(late(&story), expected, "from the tenth to the twelfth");
    assert_eq!(stock(&story, "I-12-days", "2026-06-12"), Some(1.0));

    story.reopen(at("2026-06-20", 9), at("2026-06-26", 18));
    let task = story.dispatch(at("2026-06-20", 10), DeliveryMode::GovDirect, true, true);
    story
        .complete(at("2026-06-22", 9), task, true, 3600)
        .verify(at("2026-06-23", 9), Verdict::good())
        .close(at("2026-06-23", 10), ClosedCode::Resolved);
    assert_eq!(june(&story, "I-07"), (1, 1), "promised anew");
    assert_eq!(late(&story), expected, "what was, was");
}

#[test]
fn contact_counts_for_whoever_did_the_work() {
    for (first, second) in [(true, false), (false, true)] {
        let (mut led, task) = begun();
        led.contact(at("2026-06-02", 9), first);
        let mut opened = led.clone();
        opened
            .complete(at("2026-06-03", 9), task, true, 3600)
            .verify(at("2026-06-04", 9), Verdict::good())
            .close(at("2026-06-05", 9), ClosedCode::Resolved);
        assert_eq!(june(&opened, "I-16"), (i64::from(first), 1));
        opened.reopen(at("2026-06-06", 9), at("2026-06-16", 18));
        for (story, how) in [(led, "another leads"), (opened, "opened again")] {
            let mut done = story.clone();
            let task = done.dispatch(at("2026-06-08", 9), DeliveryMode::GovDirect, false, true);
            done.sign(at("2026-06-08", 10), task, true)
                .contact(at("2026-06-09", 9), second)
                .complete(at("2026-06-09", 12), task, true, 3600)
                .verify(at("2026-06-10", 9), Verdict::good());
            assert_eq!(june(&done, "I-16"), (i64::from(second), 1), "{how}");
            let mut partner = story;
            let task = partner.confirm_offer(at("2026-06-08", 9));
            partner
                .complete(at("2026-06-09", 12), task, true, 3600)
                .verify(at("2026-06-10", 9), Verdict::good());
            assert_eq!(june(&partner, "I-16"), (1, 1), "{how}: no limit ran for the partner");
        }
    }
}

#[test]
fn what_is_called_back_and_answered_did_not_stay_with_its_first_lead() {
    let (mut story, task) = begun();
    let mut stayed = story.clone();
    story
        .recall(at("2026-06-02", 9))
        .answer(at("2026-06-03", 9))
        .verify(at("2026-06-04", 9), Verdict::good())
        .close(at("2026-06-05", 9), ClosedCode::BeyondAuthority);
    assert_eq!(june(&story, "I-03"), (0, 1));
    assert_eq!(june(&story, "I-16"), (1, 1), "nobody had to make contact");
    stayed
        .complete(at("2026-06-03", 9), task, true, 3600)
        .verify(at("2026-06-04", 9), Verdict::good())
        .close(at("2026-06-05", 9), ClosedCode::Resolved);
    assert_eq!(june(&stayed, "I-03"), (1, 1));
    assert_eq!(june(&stayed, "I-16"), (0, 1), "whoever signed had to");
}
