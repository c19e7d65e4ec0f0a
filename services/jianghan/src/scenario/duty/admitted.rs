//! An admission takes the place of the transfer: the station assists for a time. Two persons of the district sign; of what comes
//! with it, the dashboard says what nobody records.

use anyhow::{Context, Result};
use chrono::{Days, TimeDelta};
use proto::{
    case_routing::v1::{
        ApplyAdmissionRequest, ApproveAdmissionRequest, ArrivalState, AssessAdmissionRequest,
        GetAdmissionRequest, GiveAdmissionOpinionRequest, OpinionView, PostNeed, TaskAdmissionState,
        TaskPart,
    },
    staffing::v1::PostKind,
};

use super::{COMMUNITY, Cast, ITEM, arrivals::has_come};
use crate::{
    scenario::{
        stage::Person,
        story::{Story, Who, expect},
    },
    suite::request_id,
};

/// Applied for, heard, assessed, approved, in force. The next play takes it back.
pub(super) async fn for_a_time(story: &mut Story<'_>, cast: &Cast<'_>) -> Result<()> {
    let stage = story.stage;
    let admission = story
        .step(
            &cast.department,
            "改为申请阶段性协助准入",
            "applies instead that the station assists for a time",
            cast.applies_for_admission(),
        )
        .await?;
    story.shows(
        "admission",
        &admission,
        format!("/duties#a-{admission}"),
        "准入：评估、批准后施行",
        "an admission: assessed, approved, in force",
    );
    story.shows(
        "arrivals",
        &admission,
        format!("/admissions/{admission}"),
        "准入事项的五个到社区：哪些到位、哪些没有记录",
        "the five arrivals of the admission: what has come, and what is recorded nowhere",
    );
    story
        .step(&cast.street, "街道和居委会陈述意见", "is heard, and so is the committee", async {
            cast.says_of_admission(&cast.street, &admission).await?;
            cast.says_of_admission(&cast.committee, &admission).await
        })
        .await?;
    let dispatcher = stage.dispatcher()?;
    story
        .step(
            &dispatcher,
            "区里评估：依据、需要、负担、替代办法",
            "assesses it for the district: law, need, load, alternatives",
            cast.assesses(&dispatcher, &admission),
        )
        .await?;
    story
        .step(&cast.approver, "另一人批准", "approves it, as another", cast.approves_admission(&admission))
        .await?;
    story
        .step(Who::Time, "到施行日", "its day comes: it is in force", async {
            stage.pass(TimeDelta::days(2)).await?;
            cast.is_in_force(&admission).await
        })
        .await?;
    story
        .step(
            &dispatcher,
            "查看五个到社区：任务、承诺到位，人员、经费没有记录",
            "sees that tasks and promise have come, and that of staff and money nothing is recorded",
            async {
                let told = cast.arrivals(&dispatcher, &admission).await?;
                let (tasks, promise) = (told.tasks.as_ref(), told.promise.as_ref());
                expect(has_come(tasks) && has_come(promise), "tasks and promise")?;
                let staff = told.staff.context("staff")?.arrival.context("a verdict on staff")?;
                let funds = told.funds.context("money")?.arrival.context("a verdict on money")?;
                for unknown in [&staff, &funds] {
                    expect(unknown.state() == ArrivalState::Unknown, "unknown")?;
                    expect(unknown.reason_code == "not_recorded", "for nobody records it")?;
                }
                let assists = told.items.iter().all(|item| item.part() == TaskPart::Assist);
                expect(told.admission && assists, "it assists")
            },
        )
        .await
}

impl Cast<'_> {
    async fn applies_for_admission(&self) -> Result<String> {
        let today = calendar::local_day(self.stage.now().await?);
        let message = ApplyAdmissionRequest {
            request_id: request_id(),
            from_org_id: self.stage.org("dept:housing")?,
            to_org_id: self.stage.org(&format!("station:{COMMUNITY}"))?,
            item_code: ITEM.into(),
            basis_ref: "doc:district-2026-9".into(),
            fund_fen: 20_000,
            posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
            training_codes: vec!["heating_basics".into()],
            effective_on: (today + Days::new(1)).to_string(),
            ends_on: (today + Days::new(91)).to_string(),
        };
        let id = message.request_id.clone();
        let request = self.department.asks(message).await?;
        let answer = self.stage.suite.duties().apply_admission(request).await;
        let admission = self.department.heard("ApplyAdmission", answer)?.admission;
        let admission = admission.context("an answer without the admission")?.admission_id;
        self.department.notes(&admission, "ApplyAdmission", &id);
        Ok(admission)
    }

    async fn says_of_admission(&self, person: &Person<'_>, admission: &str) -> Result<()> {
        let message = GiveAdmissionOpinionRequest {
            admission_id: admission.to_owned(),
            request_id: request_id(),
            view: OpinionView::Supports.into(),
            reason_code: "near_to_people".into(),
            ..Default::default()
        };
        person.notes(admission, "GiveAdmissionOpinion", &message.request_id);
        let answer = self.stage.suite.duties().give_admission_opinion(person.asks(message).await?).await;
        person.heard("GiveAdmissionOpinion", answer).map(drop)
    }

    async fn assesses(&self, person: &Person<'_>, admission: &str) -> Result<()> {
        let message = AssessAdmissionRequest {
            admission_id: admission.to_owned(),
            request_id: request_id(),
            law_code: "law_found".into(),
            need_code: "seasonal".into(),
            load_code: "bearable".into(),
            alternative_code: "none".into(),
            ..Default::default()
        };
        person.notes(admission, "AssessAdmission", &message.request_id);
        let answer = self.stage.suite.duties().assess_admission(person.asks(message).await?).await;
        person.heard("AssessAdmission", answer).map(drop)
    }

    async fn approves_admission(&self, admission: &str) -> Result<()> {
        let message = ApproveAdmissionRequest {
            admission_id: admission.to_owned(),
            request_id: request_id(),
            ..Default::default()
        };
        self.approver.notes(admission, "ApproveAdmission", &message.request_id);
        let answer = self.stage.suite.duties().approve_admission(self.approver.asks(message).await?).await;
        self.approver.heard("ApproveAdmission", answer).map(drop)
    }

    async fn is_in_force(&self, admission: &str) -> Result<()> {
        let reached = async || {
            let request =
                self.department.asks(GetAdmissionRequest { admission_id: admission.to_owned() }).await?;
            let answer = self.stage.suite.duties().get_admission(request).await;
            let now = self.department.heard("GetAdmission", answer)?.admission;
            let now = now.context("an answer without the admission")?;
            Ok((now.state() == TaskAdmissionState::InForce).then_some(()))
        };
        self.stage.until("the admission to be in force", reached).await
    }
}
