//! The definitions in force.

use chassis::{Result, page};
use proto::analytics::v1::{ListIndicatorDefinitionsRequest, ListIndicatorDefinitionsResponse};

use super::convert;
use crate::domain::indicator::Catalogue;

/// A page of definitions in the order of the catalogue.
pub fn list(request: &ListIndicatorDefinitionsRequest) -> Result<ListIndicatorDefinitionsResponse> {
    let size = page::size(request.page_size, 50, 200)?;
    let after: Option<String> = page::decode(&request.page_token)?;
    let all = Catalogue::builtin().definitions();
    let from = match after {
        // A code that is gone ends the list; it does not start it again.
        Some(code) => all.iter().position(|d| d.code == code).map_or(all.len(), |n| n + 1),
        None => 0,
    };
    let mut rows: Vec<_> = all.iter().skip(from).take(size as usize + 1).collect();
    let next_page_token = page::cut(&mut rows, size, |d| d.code.clone());
    let definitions = rows.into_iter().map(convert::definition).collect();
    Ok(ListIndicatorDefinitionsResponse { definitions, next_page_token })
}
