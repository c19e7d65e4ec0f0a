//! What befalls the processes of a distributed world: they are killed, abort at a seam, and come back.

use jianghan::reconcile;

use crate::{World, eventually};

impl World {
    /// Kills a service's process as `kill -9` does.
    pub async fn kills(&self, service: &str) {
        let mut launched = self.launched.lock().await;
        let process = launched.processes_mut().iter_mut().find(|process| process.service == service);
        process.expect("a process of the world").kill9().expect("it can be killed");
    }

    /// Starts it again with the same environment and more.
    pub async fn restarts(&self, service: &str, more: &[(&str, &str)]) {
        let more: Vec<_> =
            more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut launched = self.launched.lock().await;
        let process = launched.processes_mut().iter_mut().find(|process| process.service == service);
        process.expect("a process of the world").restart(&more).expect("it can be started");
    }

    /// Waits until a process has ended by itself, as one does that aborts.
    pub async fn aborts(&self, service: &str, why: &str) {
        eventually(&format!("{service} to abort at {why}"), async || {
            let mut launched = self.launched.lock().await;
            let process = launched.processes_mut().iter_mut().find(|process| process.service == service)?;
            process.ended().expect("the system tells").map(|status| assert!(!status.success(), "{status}"))
        })
        .await;
    }

    /// Waits until a service answers.
    pub async fn answers(&self, service: &str) {
        if service == "gateway" {
            let ready = format!("{}/readyz", self.gateway);
            eventually("the gateway to be ready", async || {
                let answer = reqwest::get(&ready).await.ok()?;
                answer.status().is_success().then_some(())
            })
            .await;
            return;
        }
        eventually(&format!("{service} to answer"), async || {
            reconcile::digests(&self.suite, &self.operator, service, "nothing").await.ok().map(drop)
        })
        .await;
    }

    /// How many cases there are.
    pub async fn registered(&self) -> usize {
        let all = reconcile::digests(&self.patient, &self.operator, "case-routing", "case").await;
        all.expect("case-routing lists its cases").len()
    }
}
