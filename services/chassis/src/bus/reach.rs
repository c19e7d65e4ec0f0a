//! Leases are kept in a database, which says nothing of whether the bus can be reached from here. Who holds one and cannot use it
//! stands aside, so that others can.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::EventBus;

/// Whether the bus can be reached, asked every so often for as long as this lives.
#[derive(Debug)]
pub(crate) struct Reach {
    told: watch::Receiver<bool>,
    _asking: AbortOnDropHandle<()>,
}

impl Reach {
    /// Of this bus. What is within this process is there from the start.
    pub(crate) fn of(bus: Arc<dyn EventBus>, every: Duration) -> Self {
        let (tell, told) = watch::channel(!bus.shared());
        let asking = tokio::spawn(async move {
            loop {
                let reached = bus.check().await.is_ok();
                tell.send_if_modified(|was| std::mem::replace(was, reached) != reached);
                tokio::time::sleep(every).await;
            }
        });
        Self { told, _asking: AbortOnDropHandle::new(asking) }
    }

    /// As far as was asked.
    pub(crate) fn reached(&self) -> bool {
        *self.told.borrow()
    }

    /// Waits until that is another. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            std::future::pending::<()>().await; // nobody asks any more
        }
    }
}

/// Since when the bus is of no use to who holds a lease, if it is.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    unreached_since: Option<Instant>,
    /// What is handed to it does not get through.
    failing_since: Option<Instant>,
}

impl Trouble {
    /// It is reached from now on, or is not. While it was not, nothing could get through: that is no failure any more of a bus that
    /// is back. What failed before counts on, or one that comes and goes would begin anew each time.
    pub(crate) fn reached(&mut self, reached: bool, now: Instant) {
        if !reached {
            self.unreached_since.get_or_insert(now);
        } else if let Some(unreached) = self.unreached_since.take() {
            let without = |failing: Instant| failing + now.duration_since(unreached.max(failing));
            self.failing_since = self.failing_since.map(without);
        }
    }

    /// What was handed to it did not get through.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.failing_since.get_or_insert(now);
    }

    /// Something got through, or is not to be judged by what did before.
    pub(crate) fn worked(&mut self) {
        self.failing_since = None;
    }

    /// Since when.
    pub(crate) fn since(&self) -> Option<Instant> {
        [self.unreached_since, self.failing_since].into_iter().flatten().min()
    }
}

/// Standing aside.
#[derive(Debug)]
pub(crate) struct Aside {
    until: Instant,
    /// The bus could not be reached meanwhile.
    unreached: bool,
}

impl Aside {
    /// Until the bus is reached, be it at once.
    pub(crate) fn until_reached() -> Self {
        Self { until: Instant::now(), unreached: true }
    }

    /// For so long, if the bus says all the time that it can be reached: it was of no use, and others may fare better.
    pub(crate) fn for_others(time: Duration, reached: bool) -> Self {
        Self { until: Instant::now() + time, unreached: !reached }
    }

    /// Whether it is over, where the bus can be reached just now or cannot. A bus that comes back ends it at once: one that was
    /// away for everybody is not waited for any longer than it is away.
    pub(crate) fn is_over(&mut self, reached: bool) -> bool {
        self.unreached |= !reached;
        reached && (self.unreached || self.until <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_that_comes_back_is_gone_back_to_at_once_and_one_that_was_there_is_left_to_others() {
        let hour = Duration::from_secs(3_600);
        let mut aside = Aside::until_reached();
        assert!(!aside.is_over(false) && aside.is_over(true));
        let mut aside = Aside::for_others(hour, true);
        assert!(!aside.is_over(true) && !aside.is_over(true), "it was of no use all the same");
        assert!(!aside.is_over(false) && aside.is_over(true));
        assert!(Aside::for_others(hour, false).is_over(true));
        assert!(Aside::for_others(Duration::ZERO, true).is_over(true));
    }

    #[test]
    fn an_outage_is_no_failure_once_it_is_over_and_failures_outlast_a_bus_that_comes_and_goes() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut trouble = Trouble::default();
        trouble.reached(true, at(0));
        assert_eq!(trouble.since(), None);
        trouble.failed(at(0));
        trouble.reached(false, at(1));
        trouble.failed(at(2));
        assert_eq!(trouble.since(), Some(at(0)));
        trouble.reached(true, at(9));
        assert_eq!(trouble.since(), Some(at(8)), "it has failed for a second without being away");
        trouble.reached(false, at(10));
        trouble.reached(true, at(12));
        assert_eq!(trouble.since(), Some(at(10)), "and for two by now");
        trouble.worked();
        assert_eq!(trouble.since(), None);
        trouble.reached(false, at(20));
        trouble.failed(at(21));
        assert_eq!(trouble.since(), Some(at(20)));
        trouble.reached(true, at(25));
        assert_eq!(trouble.since(), Some(at(25)), "it may fail from now on, as one that is new");
    }

    #[tokio::test]
    async fn a_bus_in_the_same_process_is_reached_from_the_start() {
        let bus = super::super::InProcess::new(&["staffing"], 1);
        assert!(Reach::of(Arc::new(bus), Duration::from_secs(60)).reached());
    }
}
