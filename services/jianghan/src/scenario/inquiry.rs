//! F2, its third and fourth step: beside the visits, the facts are asked for by letter, talked over by a panel of neighbours, and compared
//! with what other departments hold, but that only where the family lets them be asked.

use anyhow::{Context, Result};
use proto::case_routing::v1::{Application, InvestigationKind, RecordInvestigationRequest};
use tonic::Code;

use super::{
    one_window::COMMUNITY,
    stage::Person,
    story::{Story, expect},
};
use crate::suite::request_id;

impl Person<'_> {
    fn inquiry(application: &Application, kind: InvestigationKind) -> RecordInvestigationRequest {
        RecordInvestigationRequest {
            case_id: application.case_id.clone(),
            request_id: request_id(),
            kind: kind.into(),
            finding_code: "as_stated".into(),
            evidence_refs: vec!["doc:inquiry".into()],
            ..Default::default()
        }
    }

    /// Records what came of asking.
    async fn inquires(&self, application: &Application, kind: InvestigationKind) -> Result<Application> {
        let message = Self::inquiry(application, kind);
        self.notes(&application.case_id, "RecordInvestigation", &message.request_id);
        let answer = self.stage.suite.applications().record_investigation(self.asks(message).await?).await;
        self.heard("RecordInvestigation", answer)?.application.context("an answer without the application")
    }

    /// What comes of asking other departments without the family's word.
    async fn is_kept_from_asking(&self, application: &Application) -> Result<()> {
        let message = Self::inquiry(application, InvestigationKind::DataCheck);
        match self.stage.suite.applications().record_investigation(self.asks(message).await?).await {
            Err(status) if status.code() == Code::FailedPrecondition => Ok(()),
            Err(status) => self.heard("RecordInvestigation", Err(status)),
            Ok(_) => expect(false, "no data check without the family's word"),
        }
    }
}

/// With the family's word.
pub(super) async fn asked_elsewhere(story: &mut Story<'_>, application: Application) -> Result<Application> {
    let stage = story.stage;
    let officer = stage.handler_of(&stage.org("dept:civil_affairs")?)?;
    let worker = stage.login(&format!("worker1.{COMMUNITY}"))?;
    expect(application.data_check_authorised, "the family lets other departments be asked")?;
    let application = story
        .step(
            &officer,
            "凭家庭授权向有关部门核对信息，并信函索证",
            "compares it with what other departments hold, as the family lets it, and writes for proof",
            async {
                let application = officer.inquires(&application, InvestigationKind::DataCheck).await?;
                officer.inquires(&application, InvestigationKind::Letter).await
            },
        )
        .await?;
    let application = story
        .step(
            &worker,
            "组织民主评议",
            "has it talked over by a panel of neighbours",
            worker.inquires(&application, InvestigationKind::Panel),
        )
        .await?;
    expect(application.investigations.len() == 3, "all of it is on record")?;
    Ok(application)
}

/// Without it.
pub(super) async fn not_asked_elsewhere(story: &mut Story<'_>, application: &Application) -> Result<()> {
    let officer = story.stage.handler_of(&story.stage.org("dept:civil_affairs")?)?;
    expect(!application.data_check_authorised, "the family has not let anybody be asked")?;
    story
        .step(
            &officer,
            "没有家庭授权，不得向其他部门核对",
            "cannot ask other departments without the family's word",
            officer.is_kept_from_asking(application),
        )
        .await
}
