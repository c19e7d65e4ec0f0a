//! Personal fields: forms, check digits, masks. Values pass through here in clear; they must never enter an error, a log
//! or an event. An error names the field and never repeats what was sent.

use chassis::{Error, Result, Timestamp};
use chrono::{Datelike, NaiveDate};

use super::{PersonId, UnitId, text};

/// Kind in errors.
pub const KIND: &str = "person";

/// A person as the domain sees one: personal fields in clear, so never `Debug`.
#[derive(Clone)]
pub struct NewPerson {
    /// Name of 1–60 characters.
    pub name: String,
    /// Identity number, checked and in upper case.
    pub id_no: Option<IdNumber>,
    /// Phone in its national form, digits only.
    pub phone: Option<Phone>,
    /// Year of birth.
    pub birth_year: Option<i32>,
    /// Where the person lives or works.
    pub home_unit_id: UnitId,
    /// Version of the privacy notice that was shown (P-02).
    pub notice_version: String,
}

impl NewPerson {
    /// Checks a request.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub fn new(from: &proto::identity::v1::CreatePersonRequest, now: Timestamp) -> Result<Self> {
        let name = text::name("name", &from.name, 60)?;
        let id_no =
            (!from.id_no.is_empty()).then(|| IdNumber::parse("id_no", &from.id_no, now)).transpose()?;
        let phone = (!from.phone.is_empty()).then(|| Phone::parse("phone", &from.phone)).transpose()?;
        let birth_year = match (from.birth_year, &id_no) {
            (0, id_no) => id_no.as_ref().map(IdNumber::birth_year),
            (year, Some(id_no)) if id_no.birth_year() != year => {
                return Err(Error::invalid("birth_year", "does not agree with id_no"));
            }
            (year, _) if year < 1880 || year > now.year() => {
                return Err(Error::invalid("birth_year", "must be a year from 1880 to now"));
            }
            (year, _) => Some(year),
        };
        Ok(Self {
            name,
            id_no,
            phone,
            birth_year,
            home_unit_id: UnitId::parse("home_unit_id", &from.home_unit_id)?,
            notice_version: text::code("notice_version", &from.notice_version, 40)?,
        })
    }
}

/// Whether somebody born in `birth_year` may still be a minor at `now`: the last day of the year counts, so nobody is
/// taken for an adult too early.
pub fn may_be_minor(birth_year: Option<i32>, now: Timestamp) -> bool {
    birth_year.is_some_and(|year| now.year() - year <= 18)
}

/// A citizen identity number of 18 characters (GB 11643): region, birthday, sequence, check character by ISO 7064
/// MOD 11-2.
#[derive(Clone, PartialEq, Eq)]
pub struct IdNumber(String);

impl IdNumber {
    /// Checks form, birthday and check character.
    ///
    /// # Errors
    /// `Invalid` naming `field`.
    pub fn parse(field: &str, text: &str, now: Timestamp) -> Result<Self> {
        let invalid = |message: &str| Error::invalid(field, message);
        let text = text.trim().to_ascii_uppercase();
        let bytes = text.as_bytes();
        if bytes.len() != 18 || !bytes[..17].iter().all(u8::is_ascii_digit) || bytes[0] == b'0' {
            return Err(invalid("must have 18 characters, the first 17 digits"));
        }
        if bytes[17] != check_character(&bytes[..17]) {
            return Err(invalid("has a wrong check character"));
        }
        let born = NaiveDate::parse_from_str(&text[6..14], "%Y%m%d")
            .map_err(|_| invalid("holds no date of birth"))?;
        if born.year() < 1880 || born > now.date_naive() {
            return Err(invalid("holds no possible date of birth"));
        }
        Ok(Self(text))
    }

    /// Year of birth.
    pub fn birth_year(&self) -> i32 {
        self.0[6..10].parse().unwrap_or_default() // four digits, checked by `parse`
    }

    /// The number in clear.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Check character of 17 digits: sum of digit × 2^(17−position) mod 11, where 10 is written X.
fn check_character(digits: &[u8]) -> u8 {
    // Horner's form of ISO 7064 pure systems: p ← (p + a) · 2 mod 11; the check makes the total 1 mod 11.
    let product = digits.iter().fold(0_u32, |p, digit| (p + u32::from(digit - b'0')) * 2 % 11);
    match (12 - product) % 11 {
        10 => b'X',
        n => b'0' + n as u8, // below 10
    }
}

/// A phone number in China: a mobile number of 11 digits, or a land line with its area code.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

impl Phone {
    /// Takes spaces, hyphens, brackets and a +86 in front; keeps the digits.
    ///
    /// # Errors
    /// `Invalid` naming `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let invalid = || Error::invalid(field, "is not a phone number");
        if text.chars().count() > 30 {
            return Err(invalid());
        }
        let text = text.trim();
        let text = text.strip_prefix("+86").or_else(|| text.strip_prefix("0086")).unwrap_or(text);
        let mut digits = String::with_capacity(12);
        for c in text.chars() {
            match c {
                '0'..='9' => digits.push(c),
                ' ' | '-' | '(' | ')' | '（' | '）' => {}
                _ => return Err(invalid()),
            }
        }
        let mobile = digits.len() == 11 && digits.starts_with('1') && digits.as_bytes()[1] >= b'3';
        let land_line = (10..=12).contains(&digits.len()) && digits.starts_with('0');
        if mobile || land_line { Ok(Self(digits)) } else { Err(invalid()) }
    }

    /// The digits in clear.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `王小明` → `王**`: the first character stays, at most three stars tell no length.
pub fn mask_name(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(first) => std::iter::once(first).chain(chars.take(2).map(|_| '*')).collect(),
        None => String::new(),
    }
}

/// `13812345678` → `138****5678`.
pub fn mask_phone(phone: &str) -> String {
    mask_middle(phone, 3, 4)
}

/// `420103199001011234` → `4201**********1234`: region of the city and the last four.
pub fn mask_id_no(id_no: &str) -> String {
    mask_middle(id_no, 4, 4)
}

fn mask_middle(value: &str, head: usize, tail: usize) -> String {
    let count = value.chars().count();
    value.chars().enumerate().map(|(n, c)| if n < head || n + tail >= count { c } else { '*' }).collect()
}

/// Additional data that binds a sealed field to its row.
pub fn seal_context(person: PersonId) -> [u8; 16] {
    *person.0.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        chrono::DateTime::from_timestamp(1_772_000_000, 0).unwrap() // 2026-02-25
    }

    #[test]
    fn the_standards_own_examples_check() {
        // The two examples printed in GB 11643-1999.
        for good in ["11010519491231002X", "440524188001010014", "11010519491231002x"] {
            assert!(IdNumber::parse("id_no", good, now()).is_ok(), "{good}");
        }
        assert_eq!(IdNumber::parse("id_no", "11010519491231002X", now()).unwrap().birth_year(), 1949);
    }

    #[test]
    fn wrong_numbers_are_refused_without_being_repeated() {
        let bad = [
            "",
            "1",
            "110105194912310021",
            "11010519491331002X",
            "x10105194912310020",
            "110105194912310O2X",
            "110105204912310024",
            "一一〇一〇五一九四九一二三一〇〇二",
        ];
        for text in bad {
            let Err(error) = IdNumber::parse("id_no", text, now()) else { panic!("{text} passed") };
            assert!(error.to_string().starts_with("id_no: "));
            assert!(text.len() < 2 || !error.to_string().contains(text));
        }
    }

    #[test]
    fn phones_have_one_form() {
        for text in ["13812345678", "+86 138-1234-5678", "0086 13812345678", " 138 1234 5678 "] {
            assert_eq!(Phone::parse("phone", text).unwrap().as_str(), "13812345678");
        }
        assert_eq!(Phone::parse("phone", "(027) 8578-1234").unwrap().as_str(), "02785781234");
        for bad in [
            "",
            "12345",
            "1381234567",
            "23812345678",
            "10812345678",
            "138123456789",
            "1381234567a",
            "+1 2025550123",
        ] {
            assert!(Phone::parse("phone", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn masks_hide_what_they_should() {
        assert_eq!(mask_name("王小明"), "王**");
        assert_eq!(mask_name("欧阳小明明"), "欧**");
        assert_eq!(mask_name(""), "");
        assert_eq!(mask_phone("13812345678"), "138****5678");
        assert_eq!(mask_id_no("11010519491231002X"), "1101**********002X");
    }

    #[test]
    fn nobody_is_an_adult_too_early() {
        assert!(may_be_minor(Some(2008), now()));
        assert!(!may_be_minor(Some(2007), now()));
        assert!(!may_be_minor(None, now()));
    }

    #[test]
    fn each_bad_field_of_a_person_is_named() {
        type Request = proto::identity::v1::CreatePersonRequest;
        let good = Request {
            name: "王小明".to_owned(),
            id_no: "11010519491231002X".to_owned(),
            phone: "13812345678".to_owned(),
            home_unit_id: uuid::Uuid::from_u128(1).to_string(),
            notice_version: "2026-01".to_owned(),
            ..Request::default()
        };
        assert_eq!(NewPerson::new(&good, now()).unwrap().birth_year, Some(1949));
        type Change = fn(&mut Request);
        let bad: [(&str, Change); 7] = [
            ("name", |r| r.name = " ".to_owned()),
            ("id_no", |r| r.id_no = "1".to_owned()),
            ("phone", |r| r.phone = "1".to_owned()),
            ("birth_year", |r| r.birth_year = 1950),
            ("birth_year", |r| {
                r.id_no.clear();
                r.birth_year = 2100
            }),
            ("home_unit_id", |r| r.home_unit_id.clear()),
            ("notice_version", |r| r.notice_version.clear()),
        ];
        for (name, change) in bad {
            let mut request = good.clone();
            change(&mut request);
            let Err(error) = NewPerson::new(&request, now()) else { panic!("{name} passed") };
            assert!(matches!(&error, Error::Invalid { field, .. } if field == name), "{name}: {error}");
        }
    }

    proptest! {
        #[test]
        fn one_wrong_digit_is_always_found(at in 0..17usize, change in 1..10u8) {
            let good = *b"110105194912310029";
            let mut digits = [0; 17];
            digits.copy_from_slice(&good[..17]);
            let check = check_character(&digits);
            digits[at] = b'0' + (digits[at] - b'0' + change) % 10;
            prop_assert_ne!(check_character(&digits), check);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = IdNumber::parse("id_no", &text, now());
            let _ = Phone::parse("phone", &text);
            let _ = (mask_name(&text), mask_phone(&text), mask_id_no(&text));
        }

        #[test]
        fn a_mask_shows_at_most_what_it_says(phone in "1[3-9][0-9]{9}") {
            let masked = mask_phone(&phone);
            prop_assert_eq!(masked.chars().filter(|c| *c == '*').count(), 4);
        }
    }
}
