//! Whether a burst of changes is over: whoever goes over everything after a change waits a little for the next one.

use std::time::Duration;

use tokio::time::Instant;

/// As many looks have to find the same version.
const LOOKS: u32 = 3;
/// No longer is waited, though it changes on and on.
const LONGEST: Duration = Duration::from_secs(60);

/// What the looks at a version have found.
#[derive(Debug, Default)]
pub struct Lull<V> {
    version: Option<V>,
    looks: u32,
    /// Set while it is waited.
    since: Option<Instant>,
}

impl<V: PartialEq> Lull<V> {
    /// Takes note of the version that a look has found. Gives whether it has been the same long enough; of the first one it is not
    /// known that it changed.
    pub fn is_over(&mut self, version: V, now: Instant) -> bool {
        if self.version.as_ref() == Some(&version) {
            self.looks = self.looks.saturating_add(1);
        } else {
            if self.version.replace(version).is_some() {
                self.since.get_or_insert(now);
            }
            self.looks = 1;
        }
        let waited = |since: Instant| self.looks >= LOOKS || now.duration_since(since) >= LONGEST;
        if self.since.is_some_and(waited) {
            self.since = None;
        }
        self.since.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_a_few_looks_have_found_the_same() {
        let (mut lull, now) = (Lull::default(), Instant::now());
        let mut over = |version| lull.is_over(version, now);
        assert!(over(1), "what it starts with");
        assert_eq!([2, 2, 2].map(&mut over), [false, false, true]);
        assert!(over(2), "it stays so");
        assert_eq!([3, 3, 4, 4, 4].map(&mut over), [false, false, false, false, true]);
    }

    #[test]
    fn it_is_not_waited_for_ever() {
        let (mut lull, start) = (Lull::default(), Instant::now());
        let mut over = |second: u64| {
            let version = u32::try_from(second).unwrap();
            lull.is_over(version, start + Duration::from_secs(second))
        };
        assert!(over(0));
        assert!((1..61).all(|second| !over(second)));
        assert!(over(61), "a minute after the first change");
        assert!(!over(62), "the next one begins a new wait");
    }
}
