//! Scenarios: the flows of the suite, each played step by step over the public API by seeded accounts, told as it goes
//! and checked at every step. They can be played again and again on the same data, each time with new cases. The tests
//! across services play the same ones. A scenario must never look into a database.

mod application;
mod arbitration;
mod duty;
mod inquiry;
mod intake;
mod late;
mod mediation;
mod objection;
mod one_window;
mod precedent;
mod recheck;
mod review;
mod silence;
pub mod stage;
pub mod story;
mod urgent;
pub mod verbs;
mod volunteers;
mod whistle;

use std::{future::Future, pin::Pin};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

pub use self::{
    arbitration::BENCH,
    one_window::{COMMUNITY, LAMP},
    stage::{Person, Stage},
    story::{Shown, Step, Story},
};

/// The scenarios, by the names they are called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// 一窗受理：登记、派单、到场、核查、评价、结案；差评、核查不过均返工；转专线、并单、不予受理；先邀请志愿者；结案后差评则重新打开 · one window: registered to closed; rated badly or not verified, done again; handed off, merged, not taken in; volunteers invited first; opened again by a late bad rating
    OneWindow,
    /// 低保申请：公示、异议复查、批准兑现，到期复核续发或终止；书面不予批准；先行救助后补手续；逾期视为受理 · an allowance: notice, objection, granted, re-checked; one refused; relief at once, papers afterwards; one accepted by silence
    Application,
    /// 职责不清：异议驳回或改派，各方意见、共同上级裁定、上级复核、先例写入新版清单 · whose duty: objection, positions, a ruling by the common superior, its review, a precedent in the next list
    Arbitration,
    /// 街道吹哨、部门报到、双向考核；另一件部门不来：提醒、超期、督办逐级上升 · a street whistles, departments report in, both judge; one that stays away: reminders, supervision up to level 3
    Whistle,
    /// 人民调解：同意、协议、司法确认、履行；当事人终止；报警后调解不成；主动调解被拒绝；口头协议未履行 · mediation: agreement, court, performed; ended by a party; talks that fail; an offer refused; an oral agreement not kept
    Mediation,
    /// 职责下移：先经评估，权、费、人、训按期齐备才生效，否则回滚；五个到社区；拒收未准入事项 · a duty is assessed, and moves down with all it needs in time, or not at all; what has come with it
    Duty,
}

/// What became of one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// Its name.
    pub scenario: String,
    /// In one line, Chinese and English.
    pub about: String,
    /// The steps that were taken.
    pub steps: Vec<Step>,
    /// What the board shows of it.
    pub shown: Vec<Shown>,
    /// Which step went wrong, and how; empty if none did.
    pub failed: Option<String>,
}

impl Scenario {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name it is called by.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it is about, in Chinese and English.
    pub fn about(self) -> String {
        let help = self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        help.unwrap_or_default()
    }

    /// All of them with one line each.
    pub fn list() -> String {
        let lines = Self::all().iter().map(|one| format!("{:<12} {}\n", one.name(), one.about()));
        lines.collect()
    }

    /// Plays it to its end, or to the step that goes wrong. `told` hears each step when it is over.
    pub async fn play(self, stage: &Stage, told: impl Fn(&Step)) -> Played {
        let stage = stage.for_one();
        let mut story = Story::new(&stage, Box::new(told));
        let outcome = self.acts(&mut story).await;
        let failed = outcome.err().map(|error| match story.steps().last() {
            Some(step) => format!("{} {} {}: {error:#}", step.number, step.zh, step.en),
            None => format!("{error:#}"),
        });
        let (steps, shown) = story.ends();
        Played { scenario: self.name(), about: self.about(), steps, shown, failed }
    }

    fn acts<'a>(self, story: &'a mut Story<'_>) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>> {
        match self {
            Self::OneWindow => Box::pin(one_window::play(story)),
            Self::Application => Box::pin(application::play(story)),
            Self::Arbitration => Box::pin(arbitration::play(story)),
            Self::Whistle => Box::pin(whistle::play(story)),
            Self::Mediation => Box::pin(mediation::play(story)),
            Self::Duty => Box::pin(duty::play(story)),
        }
    }
}

impl Played {
    /// The case it made of a kind that a test wants to look at closer.
    ///
    /// # Errors
    /// When the scenario shows none.
    pub fn case(&self, number: usize) -> Result<&str> {
        let mut cases = self.shown.iter().filter(|shown| shown.kind == "case");
        cases.nth(number).map(|shown| shown.id.as_str()).context("the scenario made no such case")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_and_a_line_in_both_languages() {
        let names: Vec<String> = Scenario::all().iter().map(|one| one.name()).collect();
        assert_eq!(names, ["one-window", "application", "arbitration", "whistle", "mediation", "duty"]);
        for line in Scenario::list().lines() {
            let (zh, en) = line.split_once(" · ").expect("Chinese and English");
            assert!(!zh.is_ascii() && en.is_ascii() && en.len() > 20, "{line}");
        }
    }
}
