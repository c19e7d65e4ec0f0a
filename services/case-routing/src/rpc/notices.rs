//! Public notices: read by everybody while they are shown, and objected to by somebody who then stands nowhere.

use chassis::{
    Error, Result,
    auth::Caller,
    clock::to_proto,
    command::{Commands, Meta, once},
    db::Tx,
    page,
    proto::case_routing::v1 as pb,
};
use uuid::Uuid;

use super::{application_convert, application_desk::Applications, parse};
use crate::{
    domain::{Act, Application, Case, NoticeId, UnitId},
    filing::File,
    store::{applications::ApplicationStore, notices},
};

impl Applications {
    /// A page of the notices that are shown now.
    pub(super) async fn notices(
        &self,
        request: pb::ListPublicNoticesRequest,
    ) -> Result<pb::ListPublicNoticesResponse> {
        let size = page::size(request.page_size, 50, 100)?;
        let after: Option<Uuid> = page::decode(&request.page_token)?;
        let world = self.desk.atlas.world();
        // What lay in a unit that was merged is shown where that goes on, and until it has followed as it was written down.
        let unit: Option<UnitId> = parse::optional_id("unit_id", &request.unit_id)?;
        let units: Vec<UnitId> =
            unit.into_iter().flat_map(|unit| [unit, world.routes.open_at(unit)]).collect();
        let mut conn = self.desk.db.conn().await?;
        let now = self.desk.clock.now();
        let mut rows = notices::current(&mut conn, &units, now, after, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |notice| notice.notice_id);
        let notices = rows.into_iter().map(|row| application_convert::public_notice(row, &world)).collect();
        Ok(pb::ListPublicNoticesResponse { notices, next_page_token })
    }

    /// Somebody objects. Nothing that is stored or told leads back to them, and nothing they are told leads to the
    /// application.
    pub(super) async fn object(
        &self,
        caller: &Caller,
        request: pb::ObjectToNoticeRequest,
    ) -> Result<pb::ObjectToNoticeResponse> {
        let meta = Meta::new("ObjectToNotice", &request.request_id, &request)?;
        let notice: NoticeId = parse::id("notice_id", &request.notice_id)?;
        let ground = parse::code("ground_code", &request.ground_code)?;
        let text = parse::words("text", &request.text, 1, 4_000)?;
        let hidden = self.desk.hidden(caller);
        let gone = || Error::not_found("public_notice", notice.to_string());
        let world = self.desk.atlas.world();
        let objected = once(&self.desk.db, &hidden, meta, async |tx: &mut Tx<'_>| {
            let id = notices::case_of(tx.conn, notice, tx.now).await?.ok_or_else(gone)?;
            let run = move |application: Application, case: Case, act: Act<'_>, _: &Caller| {
                application.object(&ground, text.clone(), case, &act)
            };
            let file = File { hidden: true, ..File::new(world, id, None, run) };
            let commands: Commands<ApplicationStore> = vec![(id, Box::new(file))];
            let done = self.executor.apply(tx, &hidden, commands).await;
            // Somebody else objected just before, or it was decided.
            done.map_err(|error| if matches!(error, Error::WrongState { .. }) { gone() } else { error })?;
            Ok(pb::ObjectToNoticeResponse { objected_time: Some(to_proto(tx.now)) })
        });
        objected.await
    }
}
