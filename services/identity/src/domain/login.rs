//! Login names, password rules and the lock after failures (S-02). Passwords pass through in clear and never print.

use chassis::{Error, Result, Timestamp};
use chrono::TimeDelta;

/// The shortest password, in characters.
pub const MIN_PASSWORD: usize = 12;

/// The longest password, in bytes; a longer one would only cost work.
pub const MAX_PASSWORD: usize = 256;

/// Failures after which a login is locked.
pub const MAX_FAILURES: i32 = 5;

/// How long a login stays locked.
pub const LOCK: TimeDelta = TimeDelta::minutes(15);

/// After this long without a failure, counting begins anew.
pub const FORGET_FAILURES: TimeDelta = TimeDelta::minutes(15);

/// A login name in its one form: lower case letters, digits, `.`, `_`, `-`, `:`, 3–80 characters.
///
/// # Errors
/// `Invalid { login }`.
pub fn login(text: &str) -> Result<String> {
    let text = text.trim().to_ascii_lowercase();
    let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-:".contains(&b));
    if !(3..=80).contains(&text.len()) || !fits {
        return Err(Error::invalid("login", "must have 3 to 80 letters, digits, '.', '_', '-' or ':'"));
    }
    Ok(text)
}

/// Checks a new password: 12 characters or more, not the login, not one character over and over.
///
/// # Errors
/// `Invalid` of this field.
pub fn check_password(field: &str, password: &str, login: &str) -> Result<()> {
    check_strength(field, password)?;
    if password.to_lowercase().contains(login) {
        return Err(Error::invalid(field, "must not hold the login"));
    }
    Ok(())
}

/// As [`check_password`], as far as that does not depend on the login.
///
/// # Errors
/// `Invalid` of this field.
pub fn check_strength(field: &str, password: &str) -> Result<()> {
    let invalid = |message: &str| Err(Error::invalid(field, message));
    if password.len() > MAX_PASSWORD {
        return invalid("must have at most 256 bytes");
    }
    if password.chars().count() < MIN_PASSWORD {
        return invalid("must have at least 12 characters");
    }
    let distinct: std::collections::BTreeSet<char> = password.chars().collect();
    if distinct.len() < 5 {
        return invalid("must have at least 5 different characters");
    }
    Ok(())
}

/// Checks a password that is tried: what no password can be is refused before any work is done for it.
///
/// # Errors
/// `Invalid` of this field.
pub fn check_tried(field: &str, password: &str) -> Result<()> {
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err(Error::invalid(field, "must have 1 to 256 bytes"));
    }
    Ok(())
}

/// What is remembered of failed tries at a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Failures in a row.
    pub failed: i32,
    /// The last one.
    pub last_at: Option<Timestamp>,
    /// Locked until.
    pub locked_until: Option<Timestamp>,
}

impl Failures {
    /// How long the login is still locked at `now`.
    pub fn locked_for(&self, now: Timestamp) -> Option<TimeDelta> {
        self.locked_until.map(|until| until - now).filter(|left| *left > TimeDelta::zero())
    }

    /// After one more failure at `now`. While the login is locked it changes nothing: of tries at once some
    /// fail when the lock is in force already.
    pub fn after_failure(self, now: Timestamp) -> Self {
        if self.locked_for(now).is_some() {
            return self;
        }
        let recent =
            self.last_at.is_some_and(|last| now - last < FORGET_FAILURES) && self.locked_until.is_none();
        let failed = if recent { self.failed + 1 } else { 1 };
        Self { failed, last_at: Some(now), locked_until: (failed >= MAX_FAILURES).then(|| now + LOCK) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_772_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn logins_have_one_form() {
        assert_eq!(login(" Dispatcher1 ").unwrap(), "dispatcher1");
        assert_eq!(login("leader.urban_management").unwrap(), "leader.urban_management");
        for bad in ["", "ab", "王小明", "a b c", &"a".repeat(81)] {
            assert!(matches!(login(bad), Err(Error::Invalid { field, .. }) if field == "login"), "{bad}");
        }
    }

    #[test]
    fn weak_passwords_are_refused_without_being_repeated() {
        assert!(check_password("password", "correct horse battery", "worker1").is_ok());
        for bad in ["short", "aaaaaaaaaaaaaaa", "my-worker1-pass", &"长".repeat(100)] {
            let error = check_password("new_password", bad, "worker1").unwrap_err();
            assert!(matches!(&error, Error::Invalid { field, .. } if field == "new_password"));
            assert!(!error.to_string().contains(bad));
        }
    }

    #[test]
    fn the_fifth_failure_locks_for_a_while() {
        let mut failures = Failures::default();
        for n in 0..4 {
            failures = failures.after_failure(at(n));
            assert_eq!(failures.locked_for(at(n)), None);
        }
        failures = failures.after_failure(at(4));
        assert_eq!(failures.locked_for(at(5)), Some(LOCK - TimeDelta::seconds(1)));
        let later = at(4) + LOCK;
        assert_eq!(failures.locked_for(later), None);
        assert_eq!(failures.after_failure(later).failed, 1, "counting begins anew after a lock");
    }

    #[test]
    fn a_failure_while_the_login_is_locked_leaves_the_lock_as_it_is() {
        let locked = (0..5).fold(Failures::default(), |failures, n| failures.after_failure(at(n)));
        for seconds in [3, 4, 5, 600] {
            assert_eq!(locked.after_failure(at(seconds)), locked, "{seconds} s");
        }
    }

    #[test]
    fn old_failures_are_forgotten() {
        let failures = Failures { failed: 4, last_at: Some(at(0)), locked_until: None };
        assert_eq!(failures.after_failure(at(1)).failed, 5);
        assert_eq!(failures.after_failure(at(0) + FORGET_FAILURES).failed, 1);
    }
}
