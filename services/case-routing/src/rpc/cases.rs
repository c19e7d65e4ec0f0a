//! `CaseService`: intake, reading and the requester's side.

use chassis::{
    Error, RpcResult,
    auth::{Caller, Role},
    command::Meta,
    crypto::Crypto,
    grpc::longest_wait,
    page,
    proto::case_routing::v1::{self as pb, case_service_server::CaseService},
};
use chrono::DateTime;
use prost::Message as _;
use tonic::{Request, Response};
use uuid::Uuid;

use super::{
    convert,
    desk::{Desk, aim},
    discretion::Discretion,
    evidence_view, exchange_forms, joined_words, mediation_view, parse,
    register::{Entry, TEXT},
    verification::independent,
    wait::Wait,
};
use crate::{
    codes,
    domain::{self, Act, Case, CaseId, Materials, Original, Rating, RemarkKind, Standing},
    reach,
    record::CaseRecord,
    remark::{self, Words},
    store::{
        Listed, imports,
        list::{self, CaseFilter, CaseKey, Order, Page, ReachFilter},
        read, remarks,
    },
    verb::{in_own_case, opened_to, withdrawing},
};

/// Longest text that is added to a case.
const MOST_CHARACTERS: usize = 4_000;

/// The RPCs.
#[derive(Clone)]
pub struct Cases(pub Desk);

#[tonic::async_trait]
impl CaseService for Cases {
    async fn register_case(
        &self,
        request: Request<pb::RegisterCaseRequest>,
    ) -> RpcResult<pb::RegisterCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("RegisterCase", &request.request_id, &request)?;
        let entry = Entry::try_from(&request)?;
        let wrap = |case| pb::RegisterCaseResponse { case };
        Ok(Response::new(self.0.create(&caller, meta, entry, false, wrap).await?))
    }

    async fn intake_case(
        &self,
        request: Request<pb::IntakeCaseRequest>,
    ) -> RpcResult<pb::IntakeCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("IntakeCase", &request.request_id, &request)?;
        let entry = Entry::try_from(&request)?;
        let wrap = |case| pb::IntakeCaseResponse { case };
        Ok(Response::new(self.0.create(&caller, meta, entry, true, wrap).await?))
    }

    async fn get_case(&self, request: Request<pb::GetCaseRequest>) -> RpcResult<pb::GetCaseResponse> {
        let caller = self.0.caller(&request)?;
        let id: CaseId = parse::id("case_id", &request.get_ref().case_id)?;
        let record = self.0.find(&caller, id).await?;
        let case = self.shown(&record, &caller).await?;
        Ok(Response::new(pb::GetCaseResponse { case: Some(case) }))
    }

    async fn wait_case(&self, request: Request<pb::WaitCaseRequest>) -> RpcResult<pb::WaitCaseResponse> {
        let caller = self.0.caller(&request)?;
        let wait = Wait::try_from(request.get_ref())?;
        let (record, changed) = self.0.changed(&caller, &wait, longest_wait(&request)).await?;
        let case = self.shown(&record, &caller).await?;
        Ok(Response::new(pb::WaitCaseResponse { case: Some(case), changed }))
    }

    async fn list_cases(&self, request: Request<pb::ListCasesRequest>) -> RpcResult<pb::ListCasesResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let now = self.0.clock.now();
        let world = self.0.atlas.world();
        let unit: Option<Uuid> = parse::optional_id("unit_id", &request.unit_id)?;
        let order = order("order_by", &request.order_by)?;
        let place = Place::of(&self.0.crypto, &request);
        let registered = (
            parse::optional_time("registered_after", request.registered_after.as_ref())?,
            parse::optional_time("registered_before", request.registered_before.as_ref())?,
        );
        let reach = ReachFilter::of(&caller);
        let mut filter = CaseFilter {
            states: parse::states("states", &request.states, codes::case_state_from)?,
            item_code: parse::filter("item_code", &request.item_code)?,
            overdue_at: request.overdue.then_some(now),
            org: parse::optional_id("org_id", &request.org_id)?,
            mine: request.mine.then_some(caller.person_id),
            pairs: parse::query("query", &request.query)?,
            order,
            after: place.after(&request.page_token)?,
            limit: size + 1,
            ..CaseFilter::of(reach, unit, registered, &world.topology, &self.0.clock)
        };
        let (found, unindexed_count) = self.listed(&mut filter).await?;
        let shown = found.rows.into_iter().map(|found| {
            let key = order.key(found.case.id, found.running_due_at);
            (key, convert::listed(found.case, &world, now))
        });
        let mut rows: Vec<(CaseKey, pb::Case)> = shown.collect();
        let mut next_page_token =
            page::cut_fitting(&mut rows, size, |(_, case)| case.encoded_len(), |(key, _)| place.token(*key));
        if let Some(on) = found.on.filter(|_| next_page_token.is_empty()) {
            next_page_token = page::encode(&place.token(on));
        }
        let cases = rows.into_iter().map(|(_, case)| case).collect();
        Ok(Response::new(pb::ListCasesResponse { cases, next_page_token, unindexed_count }))
    }

    async fn get_timeline(
        &self,
        request: Request<pb::GetTimelineRequest>,
    ) -> RpcResult<pb::GetTimelineResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let id: CaseId = parse::id("case_id", &request.case_id)?;
        let size = page::size(request.page_size, 50, 200)?;
        let after: Option<i64> = page::decode(&request.page_token)?;
        let record = self.0.find(&caller, id).await?;
        let discretion = Discretion::of(&record.case, &caller);
        let mut conn = self.0.db.conn().await?;
        let mut steps = read::timeline(&mut conn, id, after.unwrap_or(0), size + 1).await?;
        let next_page_token = page::cut(&mut steps, size, |entry| entry.case_version);
        let entries = steps.iter().map(|entry| discretion.step(entry)).collect();
        Ok(Response::new(pb::GetTimelineResponse { entries, next_page_token }))
    }

    async fn reveal_text(
        &self,
        request: Request<pb::RevealTextRequest>,
    ) -> RpcResult<pb::RevealTextResponse> {
        let caller = self.0.caller(&request)?;
        let id: CaseId = parse::id("case_id", &request.get_ref().case_id)?;
        let case = self.0.find(&caller, id).await?.case;
        let judges = judges_only(&case, &caller);
        let mut conn = self.0.db.conn().await?;
        self.0.look(&mut conn, &caller, id, may_look(&case, &caller, judges)).await?;
        let text = if judges {
            String::new()
        } else {
            let sealed = read::sealed_text(&mut conn, id).await?;
            let sealed = sealed.ok_or_else(|| Error::not_found("case", id.to_string()))?;
            let text = self.0.crypto.open(TEXT, &sealed, id.0.as_bytes())?;
            String::from_utf8(text).map_err(Error::internal)?
        };
        let said = remarks::of_case(&mut conn, id).await?.into_iter();
        let said = said.filter(|said| !judges || said.kind == RemarkKind::Rating.as_str());
        let said = said.filter(|said| joined_words::is_shown(said, &case, &caller));
        let revealed = said.map(|said| {
            let text = remark::open(&self.0.crypto, said.remark_id, &said.sealed);
            text.map(|text| pb::RevealedRemark { case_version: said.case_version, kind: said.kind, text })
        });
        let remarks = revealed.collect::<chassis::Result<_>>()?;
        Ok(Response::new(pb::RevealTextResponse { text, remarks }))
    }

    async fn supplement_case(
        &self,
        request: Request<pb::SupplementCaseRequest>,
    ) -> RpcResult<pb::SupplementCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let aim = aim!("SupplementCase", request);
        let codes = parse::some_codes("material_codes", &request.material_codes)?;
        let materials =
            Materials { codes, refs: parse::references("material_refs", &request.material_refs)? };
        let wrap = |case| pb::SupplementCaseResponse { case };
        let supplement = move |case: Case, act: Act<'_>, by: &Caller| {
            let act = in_own_case(act, by, &case);
            case.supplement(materials.clone(), &act)
        };
        self.0.run(&caller, aim, supplement, wrap).await
    }

    async fn withdraw_case(
        &self,
        request: Request<pb::WithdrawCaseRequest>,
    ) -> RpcResult<pb::WithdrawCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let aim = aim!("WithdrawCase", request);
        let reason = parse::code("reason_code", &request.reason_code)?;
        let statement = parse::optional_reference("statement_ref", &request.statement_ref)?;
        let wrap = |case| pb::WithdrawCaseResponse { case };
        let withdraw = move |case: Case, act: Act<'_>, by: &Caller| {
            let act = withdrawing(act, by, &case)?;
            case.withdraw(&reason, statement.as_deref(), &act)
        };
        self.0.run(&caller, aim, withdraw, wrap).await
    }

    async fn rate_case(&self, request: Request<pb::RateCaseRequest>) -> RpcResult<pb::RateCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let aim = aim!("RateCase", request);
        let grade = parse::grade("grade", request.grade)?;
        let channel = parse::optional_word("channel", request.channel, codes::channel_from)?;
        let comment = parse::words("comment", &request.comment, 0, MOST_CHARACTERS)?;
        let words = Words::of(&self.0.crypto, RemarkKind::Rating, &comment);
        let commented = words.is_some();
        let wrap = |case| pb::RateCaseResponse { case };
        let original = self.0.original(&caller, aim.id).await?;
        let rate = move |case: Case, act: Act<'_>, by: &Caller| {
            let original = original.as_ref().filter(|_| case.merged_into.is_some());
            let act = rating(act, by, &case, original)?;
            let rated = match original {
                Some(original) => case.rate_merged(grade, original, &act),
                None => case.rate(grade, &act),
            };
            rated.and_then(|rated| rated.rated(channel, commented))
        };
        self.0.say(&caller, aim, words, rate, wrap).await
    }

    async fn reopen_case(
        &self,
        request: Request<pb::ReopenCaseRequest>,
    ) -> RpcResult<pb::ReopenCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let aim = aim!("ReopenCase", request);
        let reason = parse::code("reason_code", &request.reason_code)?;
        let text = parse::words("text", &request.text, 0, MOST_CHARACTERS)?;
        let words = Words::of(&self.0.crypto, RemarkKind::Reopening, &text);
        let says = words.is_some();
        let wrap = |case| pb::ReopenCaseResponse { case };
        let reopen = move |case: Case, act: Act<'_>, by: &Caller| {
            let act = in_own_case(act, by, &case);
            if says { case.reopen_saying(&reason, &act) } else { case.reopen(&reason, &act) }
        };
        self.0.say(&caller, aim, words, reopen, wrap).await
    }

    async fn add_remark(&self, request: Request<pb::AddRemarkRequest>) -> RpcResult<pb::AddRemarkResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let aim = aim!("AddRemark", request);
        let text = parse::words("text", &request.text, 1, MOST_CHARACTERS)?;
        if self.0.original(&caller, aim.id).await?.is_some() {
            return Ok(Response::new(joined_words::add(&self.0, &caller, aim, &text).await?));
        }
        Ok(Response::new(joined_words::add_alone(&self.0, &caller, aim, &text).await?))
    }
}

impl Cases {
    /// A single case, with what is kept beside it.
    async fn shown(&self, record: &CaseRecord, by: &Caller) -> chassis::Result<pb::Case> {
        let mut case = convert::case(record, &self.0.atlas.world(), self.0.clock.now());
        case.original = self.0.original_of(&record.case).await?.map(|record| convert::original(&record.case));
        case.mediation = self.0.mediation_of(&record.case).await?.as_ref().map(mediation_view::summary);
        let tickets = self.0.tickets_of(&record.case).await?;
        case.external_tickets = tickets.iter().map(exchange_forms::ticket).collect::<Result<_, Error>>()?;
        let said = self.0.remarks_of(&record.case).await?;
        let said = said.iter().filter(|said| joined_words::is_shown(said, &record.case, by));
        let discretion = Discretion::of(&record.case, by);
        case.remarks = said.map(|said| discretion.remark(said)).collect();
        case.evidence = evidence_view::shown(&record.case, by);
        Ok(if reach::reads_merged(&record.case, by) {
            convert::with_merged(case, &record.case)
        } else {
            case
        })
    }

    /// The cases of a page, and how many cannot be found by their words yet.
    async fn listed(&self, filter: &mut CaseFilter) -> chassis::Result<(Page<Listed>, i64)> {
        let (db, store) = (&self.0.db, self.0.executor.store());
        if filter.pairs.is_empty() {
            return Ok((list::cases(&mut *db.list_conn().await?, store, filter).await?, 0));
        }
        let unindexed = imports::unindexed(&mut *db.conn().await?).await?;
        if let Some(page) = list::look_through(&mut *db.list_conn().await?, store, filter).await? {
            return Ok((page, unindexed));
        }
        filter.found = list::find(&mut *db.conn().await?, filter).await?;
        Ok((list::cases(&mut *db.list_conn().await?, store, filter).await?, unindexed))
    }
}

/// The requester rates in person, whatever else they are. Whoever writes down what the requester says belongs to none of
/// those who handled what is rated, nor to whom it complains of (C-4).
fn rating<'a>(
    act: Act<'a>,
    by: &Caller,
    case: &Case,
    original: Option<&Original>,
) -> domain::Result<Act<'a>> {
    let act = in_own_case(act, by, case);
    if act.by.standing == Standing::Requester {
        return Ok(act);
    }
    let handlers = original.map_or_else(|| case.kept_from_checks(), |original| case.handlers_with(original));
    independent(act, by, &handlers, None)
}

/// Whether the caller reaches the case by a role that judges ratings, and by no other.
fn judges_only(case: &Case, caller: &Caller) -> bool {
    let judges = |role| matches!(role, Role::CallbackAgent | Role::StreetSupervisor);
    let scopes = caller.scopes.iter().filter(|scope| !judges(scope.role)).cloned().collect();
    !reach::reaches(case, &Caller { scopes, ..caller.clone() })
}

/// Whether the words of a case are opened to the caller: to who only judges ratings, while one awaits that.
fn may_look(case: &Case, by: &Caller, judges: bool) -> chassis::Result<()> {
    opened_to(case, by)?;
    let awaits = case.rating.as_ref().is_some_and(Rating::awaits_judgement);
    if judges && !awaits { Err(Error::Forbidden) } else { Ok(()) }
}

/// How a list is ordered, in words.
fn order(field: &str, text: &str) -> chassis::Result<Order> {
    match text {
        "" | "registered_time desc" => Ok(Order::Newest),
        "registered_time" => Ok(Order::Oldest),
        "resolve_due_time" => Ok(Order::DueFirst),
        "resolve_due_time desc" => Ok(Order::DueLast),
        _ => Err(Error::invalid(field, "must be registered_time or resolve_due_time, perhaps with desc")),
    }
}

/// Tokens of one list: what is asked for and in which order stands in them as a keyed digest, because they stand in
/// URLs and the question may hold personal data.
struct Place(String);

impl Place {
    fn of(crypto: &Crypto, request: &pb::ListCasesRequest) -> Self {
        let asked = pb::ListCasesRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let digest = crypto.blind_index("case_list", asked.encode_to_vec());
        Self(digest[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn token(&self, (due, id): CaseKey) -> (&str, i64, Uuid) {
        (&self.0, due.timestamp_micros(), id)
    }

    fn after(&self, token: &str) -> chassis::Result<Option<CaseKey>> {
        let other = || Error::invalid("page_token", "is not a token of this list");
        let Some((list, due, id)) = page::decode::<(String, i64, Uuid)>(token)? else { return Ok(None) };
        let due = DateTime::from_timestamp_micros(due).filter(|_| list == self.0);
        due.map(|due| Some((due, id))).ok_or_else(other)
    }
}
