//! The timeline of a case, and the ground of an objection, in the reader's language.

use crate::{
    canned::{CASE, district},
    visitor::{page, sign_in},
};

#[tokio::test]
async fn steps_and_grounds_have_names_and_no_codes() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert_eq!(status, 200);
    for shown in ["诉求登记", "签收任务", "首次联系诉求人", "不属于本单位职责"] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    let (_, english) = page(&edge, &format!("/cases/{CASE}"), &format!("{session}; jh_lang=en")).await;
    for shown in ["Task signed for", "First contact", "Not within its competence"] {
        assert!(english.contains(shown), "{shown}: {english}");
    }
    for code in ["CaseRegistered", "CaseDispatched", "TaskSigned", "not_competent"] {
        assert!(!html.contains(code) && !english.contains(code), "{code}");
    }
}
