//! Limits of text fields: names, codes, lines and other short words of requests.

use chassis::{Error, Result};

/// A name of 1 to `max` characters without control characters, trimmed.
///
/// # Errors
/// `Invalid` naming `field`.
pub fn name(field: &str, text: &str, max: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    optional_name(field, text, max)
}

/// As [`name`], but may be empty.
///
/// # Errors
/// `Invalid` naming `field`.
pub fn optional_name(field: &str, text: &str, max: usize) -> Result<String> {
    let text = text.trim();
    if text.chars().count() > max {
        return Err(Error::invalid(field, format!("must have at most {max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must not hold control characters"));
    }
    Ok(text.to_owned())
}

/// A code: 1 to `max` of ASCII letters, digits, `-`, `_`, `.` and `:`.
///
/// # Errors
/// `Invalid` naming `field`.
pub fn code(field: &str, text: &str, max: usize) -> Result<String> {
    if text.is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    if text.len() > max {
        return Err(Error::invalid(field, format!("must have at most {max} characters")));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':')) {
        return Err(Error::invalid(field, "may hold letters, digits, '-', '_', '.' and ':' only"));
    }
    Ok(text.to_owned())
}

/// A line (department function) such as `urban_management`; empty means none.
///
/// # Errors
/// `Invalid` naming `field`.
pub fn line(field: &str, text: &str) -> Result<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > 40 || !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(Error::invalid(field, "is not the code of a line"));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(name("n", " 西桥社区 ", 4).unwrap(), "西桥社区");
        for bad in ["", "  ", "五个字太长", "a\nb"] {
            assert!(name("n", bad, 4).is_err(), "{bad:?}");
        }
        assert_eq!(optional_name("n", "", 4).unwrap(), "");
    }

    #[test]
    fn codes_and_lines_have_their_alphabets() {
        assert_eq!(code("c", "420103009004C001D002", 40).unwrap(), "420103009004C001D002");
        for bad in ["", "a b", "街", "123456"] {
            assert!(code("c", bad, 5).is_err(), "{bad:?}");
        }
        assert_eq!(line("l", "civil_affairs").unwrap().as_deref(), Some("civil_affairs"));
        assert_eq!(line("l", "").unwrap(), None);
        assert!(line("l", "Civil Affairs").is_err());
    }
}
