//! How long a confirmation may take. A broker that is slow but confirms is not dead: to publish everything again would only give
//! it more to do, and each time it would get less far.

use std::time::Duration;

use tokio::time::Instant;

/// So many times as long where others are confirmed meanwhile.
const WHILE_OTHERS_COME: u32 = 4;
/// How often it is doubled at most.
const DOUBLED: u32 = 3;

/// The deadline.
#[derive(Debug)]
pub(super) struct Deadline {
    first: Duration,
    last: Instant,
    missed: u32,
}

impl Deadline {
    /// Nothing was missed yet.
    pub(super) fn new(first: Duration, now: Instant) -> Self {
        Self { first, last: now, missed: 0 }
    }

    /// Something was confirmed.
    pub(super) fn confirmed(&mut self, now: Instant) {
        (self.last, self.missed) = (now, 0);
    }

    /// Everything under way is published again: next time it may take twice as long.
    pub(super) fn missed(&mut self) {
        self.missed = (self.missed + 1).min(DOUBLED);
    }

    /// How long what is under way may have been.
    pub(super) fn limit(&self, now: Instant) -> Duration {
        let alone = self.first * 2_u32.pow(self.missed);
        if now.duration_since(self.last) < alone { alone * WHILE_OTHERS_COME } else { alone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_slowly_is_waited_for_and_what_never_comes_is_asked_for_less_and_less_often() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut deadline = Deadline::new(Duration::from_secs(5), now);
        let limit = |deadline: &Deadline, seconds| deadline.limit(at(seconds)).as_secs();
        assert_eq!(
            (limit(&deadline, 4), limit(&deadline, 5)),
            (20, 5),
            "of a connection that says nothing any more"
        );
        deadline.confirmed(at(5));
        assert_eq!((limit(&deadline, 9), limit(&deadline, 10)), (20, 5));
        let missed = [10, 20, 40, 40].map(|seconds| {
            deadline.missed();
            (limit(&deadline, 100), seconds)
        });
        assert!(missed.iter().all(|(limit, expected)| limit == expected), "{missed:?}");
        deadline.confirmed(at(100));
        assert_eq!(limit(&deadline, 105), 5);
    }
}
