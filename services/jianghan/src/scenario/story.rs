//! A scenario while it is played: each step told with who did what, in Chinese and English, and what the board shows in
//! the end.

use std::{future::Future, time::Instant};

use anyhow::Result;
use proto::case_routing::v1::Case;
use serde::Serialize;

use super::stage::{Person, Stage};

/// Roles as people call them.
const ROLES: [(&str, &str, &str); 19] = [
    ("resident", "居民", "resident"),
    ("committee_member", "居委会成员", "committee member"),
    ("mediator", "人民调解员", "mediator"),
    ("service_worker", "社区窗口", "community window"),
    ("auxiliary_worker", "协管员", "auxiliary worker"),
    ("grid_worker", "网格员", "grid worker"),
    ("station_head", "服务站站长", "station head"),
    ("street_dispatcher", "街道派单员", "street dispatcher"),
    ("street_leader", "街道负责人", "street leader"),
    ("dept_officer", "部门承办人", "department officer"),
    ("dept_leader", "部门负责人", "department leader"),
    ("district_dispatcher", "区级分办员", "district dispatcher"),
    ("arbiter", "职责裁定员", "arbiter"),
    ("verifier", "核查员", "verifier"),
    ("callback_agent", "回访员", "call-back agent"),
    ("finance_officer", "财务", "finance officer"),
    ("volunteer_coordinator", "志愿组织", "volunteer organisation"),
    ("org_manager", "伙伴组织", "partner organisation"),
    ("volunteer", "志愿者", "volunteer"),
];

/// Who takes a step.
#[derive(Clone, Debug)]
pub enum Who {
    /// Somebody of this role.
    Role(String),
    /// The services themselves, on time or on an event.
    Services,
    /// Domain time passes.
    Time,
}

impl From<&Person<'_>> for Who {
    fn from(person: &Person<'_>) -> Self {
        Self::Role(person.role().to_owned())
    }
}

impl Who {
    fn names(&self) -> (String, String) {
        let both = |zh: &str, en: &str| (zh.to_owned(), en.to_owned());
        match self {
            Self::Role(role) => ROLES
                .iter()
                .find(|(known, ..)| known == role)
                .map_or_else(|| both(role, role), |(_, zh, en)| both(zh, en)),
            Self::Services => both("系统", "the services"),
            Self::Time => both("时间", "time"),
        }
    }
}

/// One step that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// Who took it, in Chinese.
    pub who_zh: String,
    /// In English.
    pub who_en: String,
    /// What they did.
    pub zh: String,
    /// In English.
    pub en: String,
    /// The commands they gave, by RPC.
    pub commands: Vec<&'static str>,
    /// How long it took, with all that was waited for.
    pub took_ms: u64,
    /// Whether it went as expected.
    pub ok: bool,
}

impl Step {
    /// One line for people.
    pub fn line(&self) -> String {
        let mark = if self.ok { "✓" } else { "✗" };
        format!(
            "  {:>3} {mark} {}：{}\n        {}: {}",
            self.number, self.who_zh, self.zh, self.who_en, self.en
        )
    }
}

/// What the board shows of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// `case`, `notice`, `transfer`, `admission` or `arrivals`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// What is seen there.
    pub zh: String,
    /// In English.
    pub en: String,
    /// Address on the board.
    pub url: String,
}

/// A scenario while it is played.
pub struct Story<'s> {
    /// Where.
    pub stage: &'s Stage,
    steps: Vec<Step>,
    shown: Vec<Shown>,
    seen: usize,
    told: Box<dyn Fn(&Step) + 's>,
}

impl<'s> Story<'s> {
    /// Nothing has happened yet.
    pub(super) fn new(stage: &'s Stage, told: Box<dyn Fn(&Step) + 's>) -> Self {
        Self { stage, steps: Vec::new(), shown: Vec::new(), seen: 0, told }
    }

    /// A step: who, what (in Chinese and English), and the act itself.
    ///
    /// # Errors
    /// What the act fails with.
    pub async fn step<T>(
        &mut self,
        who: impl Into<Who>,
        zh: &str,
        en: &str,
        act: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let (who_zh, who_en) = who.into().names();
        let began = Instant::now();
        let outcome = act.await;
        let (commands, seen) = self.stage.diary.after(self.seen);
        self.seen = seen;
        let step = Step {
            number: self.steps.len() + 1,
            who_zh,
            who_en,
            zh: zh.to_owned(),
            en: en.to_owned(),
            commands,
            took_ms: began.elapsed().as_millis() as u64,
            ok: outcome.is_ok(),
        };
        (self.told)(&step);
        self.steps.push(step);
        outcome
    }

    /// A case that the board shows.
    pub fn shows_case(&mut self, case_id: &str, zh: &str, en: &str) {
        self.shows("case", case_id, format!("/cases/{case_id}"), zh, en);
    }

    /// Anything that the board shows at a path.
    pub fn shows(&mut self, kind: &'static str, id: &str, path: String, zh: &str, en: &str) {
        let url = format!("{}{path}", self.stage.board);
        self.shown.push(Shown { kind, id: id.to_owned(), zh: zh.to_owned(), en: en.to_owned(), url });
    }

    /// The steps so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn ends(self) -> (Vec<Step>, Vec<Shown>) {
        (self.steps, self.shown)
    }
}

/// What a step expects to find.
///
/// # Errors
/// The words for it, when it is not so.
pub fn expect(found: bool, what: &str) -> Result<()> {
    anyhow::ensure!(found, "expected: {what}");
    Ok(())
}

/// A case is in the state that a step expects.
///
/// # Errors
/// With both states, when it is not.
pub fn expect_state(case: &Case, state: proto::case_routing::v1::CaseState) -> Result<()> {
    anyhow::ensure!(
        case.state() == state,
        "expected the case in {}, found {}",
        state.as_str_name(),
        case.state().as_str_name()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_in_both_languages() {
        let (who_zh, who_en) = Who::Role("arbiter".into()).names();
        let step = Step {
            number: 7,
            who_zh,
            who_en,
            zh: "裁定".into(),
            en: "rules".into(),
            commands: vec!["RuleObjection"],
            took_ms: 3,
            ok: true,
        };
        assert_eq!(step.line(), "    7 ✓ 职责裁定员：裁定\n        arbiter: rules");
        assert_eq!(Who::Role("nobody".into()).names().0, "nobody", "a role without a name is told as it is");
    }
}
