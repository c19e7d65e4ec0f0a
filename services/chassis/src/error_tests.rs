//! Every kind of error as the caller sees it.

use super::*;

fn every_kind() -> Vec<Error> {
    vec![
        Error::invalid("tasks[1].unit_id", "is not a UUID"),
        Error::not_found("case", "c1"),
        Error::already_exists("worker", "w1"),
        Error::wrong_state("case", "c1", "is Closed"),
        Error::barred("case", "c1", "recused", "recused: it steps aside"),
        Error::stale("case", "c1"),
        Error::Unauthenticated,
        Error::Forbidden,
        Error::Exhausted { retry_after: Duration::from_millis(250) },
        Error::unavailable("the database is not reachable"),
        Error::internal("select * from secrets failed"),
    ]
}

#[test]
fn every_kind_has_its_status_and_details() {
    let lines: Vec<String> = every_kind()
        .into_iter()
        .map(|error| {
            let retryable = error.retryable();
            let status = Status::from(error);
            let details = status.get_error_details();
            let info = details.error_info().expect("ErrorInfo is always there");
            let mut metadata: Vec<_> = info.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
            metadata.sort();
            let fields: Vec<_> = details
                .bad_request()
                .map(|b| {
                    b.field_violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect()
                })
                .unwrap_or_default();
            let retry = details.retry_info().and_then(|r| r.retry_delay);
            format!(
                "{:?} | {} | {} {} {metadata:?} | {fields:?} | {retry:?} | retryable={retryable}",
                status.code(),
                status.message(),
                info.domain,
                info.reason,
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    InvalidArgument | tasks[1].unit_id: is not a UUID | jianghan INVALID [] | ["tasks[1].unit_id: is not a UUID"] | None | retryable=false
    NotFound | case c1 was not found | jianghan NOT_FOUND ["id=c1", "kind=case"] | [] | None | retryable=false
    AlreadyExists | worker w1 exists already | jianghan ALREADY_EXISTS ["id=w1", "kind=worker"] | [] | None | retryable=false
    FailedPrecondition | case c1: is Closed | jianghan WRONG_STATE ["id=c1", "kind=case"] | [] | None | retryable=false
    FailedPrecondition | case c1: recused: it steps aside | jianghan WRONG_STATE ["code=recused", "id=c1", "kind=case"] | [] | None | retryable=false
    Aborted | case c1 has changed meanwhile | jianghan STALE ["id=c1", "kind=case"] | [] | None | retryable=true
    Unauthenticated | a valid token is needed | jianghan UNAUTHENTICATED [] | [] | None | retryable=false
    PermissionDenied | not permitted | jianghan FORBIDDEN [] | [] | None | retryable=false
    ResourceExhausted | too much at once, try again later | jianghan EXHAUSTED [] | [] | Some(250ms) | retryable=true
    Unavailable | the database is not reachable | jianghan UNAVAILABLE [] | [] | None | retryable=true
    Internal | internal error | jianghan INTERNAL [] | [] | None | retryable=false
    "#);
}

#[test]
fn what_others_hold_is_told_from_a_database_that_is_away() {
    let told = |message: &str| {
        let info = Box::new(message.to_owned());
        Error::from(diesel::result::Error::DatabaseError(DatabaseErrorKind::Unknown, info))
    };
    for held in ["lock timeout", "statement timeout"] {
        let error = told(&format!("canceling statement due to {held}"));
        assert!(error.retryable() && error.is_held() && !error.is_outage(), "{held}");
        assert!(error.is_particular(), "{held}");
    }
    for met in ["deadlock detected", "canceling statement due to user request"] {
        let error = told(met);
        assert!(error.retryable() && !error.is_held() && !error.is_outage(), "{met}");
    }
    for away in ["the database system is shutting down", "sorry, too many clients already"] {
        let error = told(away);
        assert!(error.retryable() && !error.is_held() && error.is_outage(), "{away}");
        assert!(!error.is_particular(), "{away}");
    }
    let defect = told("division by zero");
    assert!(!defect.retryable() && defect.is_particular());
}

#[test]
fn an_internal_error_tells_the_caller_nothing() {
    let status = Status::from(Error::internal("relation \"cases\" does not exist"));
    assert_eq!(status.message(), "internal error");
    assert!(!String::from_utf8_lossy(status.details()).contains("cases"));
}

#[tokio::test]
async fn what_a_panic_said_is_no_part_of_the_error_of_its_task() {
    let panicked = tokio::task::spawn_blocking(|| -> Result<()> { panic!("the secret is 42") });
    let cancelled = tokio::spawn(std::future::pending::<Result<()>>());
    cancelled.abort();
    for (task, told) in [(panicked, "a task panicked"), (cancelled, "a task was cancelled")] {
        let error = Error::task(task.await.unwrap_err());
        assert_eq!(error.chain(), format!("internal error: {told}"));
    }
}

#[test]
fn a_peers_answer_keeps_its_meaning() {
    for error in every_kind() {
        let (code, text) = (error.code(), error.to_string());
        let back = Error::from_status(&Status::from(error));
        assert_eq!(back.code(), code, "{text}");
    }
    assert_eq!(Error::from_status(&Status::deadline_exceeded("late")).code(), "unavailable");
    let barred = Error::from_status(&Status::from(Error::barred("case", "c1", "recused", "it steps aside")));
    assert!(matches!(barred, Error::WrongState { code: Some(code), .. } if code == "recused"));
}

#[test]
fn a_missing_row_is_a_defect_and_a_lost_connection_passes() {
    assert_eq!(Error::from(diesel::result::Error::NotFound).code(), "internal");
    let closed = diesel::result::Error::DatabaseError(
        DatabaseErrorKind::ClosedConnection,
        Box::new("connection closed".to_owned()),
    );
    let closed = Error::from(closed);
    assert!(closed.retryable() && !closed.is_deadlock());
    let deadlock = diesel::result::Error::DatabaseError(
        DatabaseErrorKind::Unknown,
        Box::new("deadlock detected".to_owned()),
    );
    let deadlock = Error::from(deadlock);
    assert!(deadlock.retryable() && deadlock.is_deadlock(), "told apart from a database that is away");
    let timeout = diesel::result::Error::DatabaseError(
        DatabaseErrorKind::Unknown,
        Box::new("canceling statement due to statement timeout".to_owned()),
    );
    assert!(Error::from(timeout).retryable());
    let full = diesel::result::Error::DatabaseError(
        DatabaseErrorKind::Unknown,
        Box::new("could not extend file \"base/1/2\": No space left on device".to_owned()),
    );
    assert!(Error::from(full).retryable());
}
