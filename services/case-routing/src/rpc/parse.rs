//! Fields of requests into the words of the domain. Each failure names the field and never repeats the value.

use calendar::{Limit, TimeUnit};
use chassis::{Error, Result, Timestamp, clock, proto::case_routing::v1 as pb};
use chrono::Datelike;
use uuid::Uuid;

use crate::domain::{Axis, MOST_FEN, Point, pairs, patrol::is_grid_code};

/// Longest list of references or codes.
const MAX_LIST: usize = 50;

/// An id that must be there.
pub fn id<T: From<Uuid>>(field: &str, text: &str) -> Result<T> {
    let parsed = Uuid::try_parse(text).ok().filter(|id| !id.is_nil());
    parsed.map(T::from).ok_or_else(|| Error::invalid(field, "must be an id"))
}

/// An id that may be left out.
pub fn optional_id<T: From<Uuid>>(field: &str, text: &str) -> Result<Option<T>> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

/// Ids, each once.
pub fn ids<T: From<Uuid> + PartialEq>(field: &str, texts: &[String]) -> Result<Vec<T>> {
    let mut ids = Vec::with_capacity(texts.len().min(MAX_LIST));
    for (number, text) in bounded(field, texts)?.iter().enumerate() {
        let parsed = id(&format!("{field}[{number}]"), text)?;
        if ids.contains(&parsed) {
            return Err(Error::invalid(format!("{field}[{number}]"), "stands here twice"));
        }
        ids.push(parsed);
    }
    Ok(ids)
}

/// A list of bounded length.
pub fn bounded<'a, T>(field: &str, entries: &'a [T]) -> Result<&'a [T]> {
    if entries.len() > MAX_LIST {
        return Err(Error::invalid(field, "has at most 50 entries"));
    }
    Ok(entries)
}

/// States by which a list is narrowed: each of them is compared with every row, so they are bounded, too.
pub fn states<W, D>(field: &str, numbers: &[i32], from: impl Fn(W) -> Option<D>) -> Result<Vec<D>>
where
    W: TryFrom<i32>,
{
    bounded(field, numbers)?.iter().map(|number| word(field, *number, &from, None)).collect()
}

/// Codes, at least one.
pub fn codes(field: &str, texts: &[String]) -> Result<Vec<String>> {
    if texts.is_empty() {
        return Err(Error::invalid(field, "has at least one entry"));
    }
    some_codes(field, texts)
}

/// Codes, or none.
pub fn some_codes(field: &str, texts: &[String]) -> Result<Vec<String>> {
    for (number, text) in bounded(field, texts)?.iter().enumerate() {
        code(&format!("{field}[{number}]"), text)?;
    }
    Ok(texts.to_vec())
}

/// References: short texts without blanks, of whatever store holds the thing.
pub fn references(field: &str, texts: &[String]) -> Result<Vec<String>> {
    for (number, text) in bounded(field, texts)?.iter().enumerate() {
        reference(&format!("{field}[{number}]"), text)?;
    }
    Ok(texts.to_vec())
}

/// One reference.
pub fn reference(field: &str, text: &str) -> Result<String> {
    let visible = |c: char| c.is_ascii_graphic();
    if text.is_empty() || text.len() > 200 || !text.chars().all(visible) {
        return Err(Error::invalid(field, "must be a reference of 1–200 visible ASCII characters"));
    }
    Ok(text.to_owned())
}

/// One reference, or none where it is empty.
pub fn optional_reference(field: &str, text: &str) -> Result<Option<String>> {
    if text.is_empty() { Ok(None) } else { reference(field, text).map(Some) }
}

/// Words that somebody wrote: from `least` to `most` characters, not blank where there must be some.
pub fn words(field: &str, text: &str, least: usize, most: usize) -> Result<String> {
    let text = text.trim();
    let unseen = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if !(least..=most).contains(&text.chars().count()) || text.chars().any(unseen) {
        return Err(Error::invalid(field, format!("must have {least}–{most} characters")));
    }
    Ok(text.to_owned())
}

/// A sum in fen.
pub fn fen(field: &str, amount: i64, least: i64) -> Result<i64> {
    let fits = (least..=MOST_FEN).contains(&amount);
    if fits {
        Ok(amount)
    } else {
        Err(Error::invalid(field, format!("must be between {least} and {MOST_FEN}")))
    }
}

/// A code: `a–z`, `0–9`, `_`, `.`, `-`.
pub fn code(field: &str, text: &str) -> Result<String> {
    let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    if text.is_empty() || text.len() > 64 || !text.chars().all(safe) {
        return Err(Error::invalid(field, "must be a code of 1–64 characters a–z, 0–9, '_', '.', '-'"));
    }
    Ok(text.to_owned())
}

/// A code that may be left out.
pub fn optional_code(field: &str, text: &str) -> Result<Option<String>> {
    if text.is_empty() { Ok(None) } else { code(field, text).map(Some) }
}

/// The code of a grid that may be left out. Where the grid lies is not read from it.
pub fn grid_code(field: &str, text: &str) -> Result<Option<String>> {
    if !text.is_empty() && !is_grid_code(text) {
        return Err(Error::invalid(field, "must have 15 digits"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// A point that may be left out: both of its parts or neither, within the world.
pub fn point(field: &str, point: Option<&pb::GeoPoint>) -> Result<Option<Point>> {
    let wrong = |axis: Axis, message: &str| {
        let part = match axis {
            Axis::Longitude => "longitude_e6",
            Axis::Latitude => "latitude_e6",
        };
        Err(Error::invalid(format!("{field}.{part}"), message))
    };
    match point.map(|point| (point.longitude_e6, point.latitude_e6)) {
        None | Some((None, None)) => Ok(None),
        Some((None, Some(_))) => wrong(Axis::Longitude, "both or neither"),
        Some((Some(_), None)) => wrong(Axis::Latitude, "both or neither"),
        Some((Some(longitude), Some(latitude))) => match Point::new(longitude, latitude) {
            Ok(point) => Ok(Some(point)),
            Err(axis @ Axis::Longitude) => wrong(axis, "must lie between -180000000 and 180000000"),
            Err(axis @ Axis::Latitude) => wrong(axis, "must lie between -90000000 and 90000000"),
        },
    }
}

/// A code or name by which a list is narrowed, as it is stored; empty: not narrowed.
pub fn filter(field: &str, text: &str) -> Result<Option<String>> {
    if text.chars().count() > 40 || text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "has at most 40 characters, none of them a control character"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Words that a text must have, as their pairs of characters; empty: not searched.
pub fn query(field: &str, text: &str) -> Result<Vec<i32>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if !(2..=60).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "has 2–60 characters, none of them a control character"));
    }
    let pairs = pairs(text);
    if pairs.is_empty() {
        return Err(Error::invalid(field, "must have a word of at least two letters or characters"));
    }
    Ok(pairs)
}

/// A word of a wire vocabulary; the default for unspecified.
pub fn word<W, D>(field: &str, number: i32, from: impl Fn(W) -> Option<D>, default: Option<D>) -> Result<D>
where
    W: TryFrom<i32>,
{
    let unknown = || Error::invalid(field, "is not a known value");
    let word = W::try_from(number).map_err(|_| unknown())?;
    from(word).or(default).ok_or_else(|| Error::invalid(field, "is required"))
}

/// A word that may be left unspecified.
pub fn optional_word<W, D>(field: &str, number: i32, from: impl Fn(W) -> Option<D>) -> Result<Option<D>>
where
    W: TryFrom<i32>,
{
    let word = W::try_from(number).map_err(|_| Error::invalid(field, "is not a known value"))?;
    Ok(from(word))
}

/// An instant that may be left out.
pub fn optional_time(field: &str, at: Option<&prost_types::Timestamp>) -> Result<Option<Timestamp>> {
    // The years that the message's own definition allows; the database has no others.
    let known = |at: &Timestamp| (1..=9999).contains(&at.year());
    let instant = |at| clock::from_proto(at).filter(known);
    at.map(|at| instant(at).ok_or_else(|| Error::invalid(field, "is not an instant"))).transpose()
}

/// A grade of 1–5.
pub fn grade(field: &str, number: i32) -> Result<u8> {
    u8::try_from(number)
        .ok()
        .filter(|grade| (1..=5).contains(grade))
        .ok_or_else(|| Error::invalid(field, "must be between 1 and 5"))
}

/// A limit.
pub fn limit(field: &str, limit: Option<&pb::Limit>) -> Result<Limit> {
    let limit = limit.ok_or_else(|| Error::invalid(field, "is required"))?;
    let unit = match limit.unit() {
        pb::LimitUnit::Unspecified => return Err(Error::invalid(format!("{field}.unit"), "is required")),
        pb::LimitUnit::CalHour => TimeUnit::CalHour,
        pb::LimitUnit::WorkHour => TimeUnit::WorkHour,
        pb::LimitUnit::WorkDay => TimeUnit::WorkDay,
        pb::LimitUnit::CalDay => TimeUnit::CalDay,
        pb::LimitUnit::Month => TimeUnit::Month,
    };
    let amount = u16::try_from(limit.amount).ok().filter(|n| (1..=366).contains(n));
    let amount =
        amount.ok_or_else(|| Error::invalid(format!("{field}.amount"), "must be between 1 and 366"))?;
    Ok(Limit::new(unit, amount))
}
