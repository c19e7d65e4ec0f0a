//! Made-up people for the demonstration: names drawn (seeded) from lists, phones from a range kept for it, passwords at
//! random. Nobody real is in here.

use chassis::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::files::{Names, Phones};
use crate::domain::personal::Phone;

/// Characters of generated passwords; none that is easily mistaken for another.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Characters per generated password, in groups of four: 79 random bits.
const PASSWORD: usize = 16;

/// Draws people one after another, the same ones in every district seeded from the same files.
pub struct Draw<'a> {
    rng: StdRng,
    names: &'a Names,
    phones: &'a Phones,
    drawn: usize,
}

impl<'a> Draw<'a> {
    /// From the lists of the accounts file.
    pub fn new(seed: u64, names: &'a Names, phones: &'a Phones) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), names, phones, drawn: 0 }
    }

    /// The next name.
    pub fn name(&mut self) -> String {
        let mut name = self.pick(&self.names.surnames).cloned().unwrap_or_default();
        let length = self.pick(&self.names.given_length).copied().unwrap_or(1);
        for _ in 0..length {
            name.push_str(self.pick(&self.names.given).map_or("", String::as_str));
        }
        name + &self.names.suffix
    }

    /// The next phone; none once the range is used up.
    pub fn phone(&mut self) -> Option<Phone> {
        self.drawn += 1;
        let digits = self.phones.digits;
        let number = format!("{}{:0digits$}", self.phones.prefix, self.drawn);
        Phone::parse("phone", &number).ok()
    }

    /// A year of birth of somebody of age at `now`.
    pub fn birth_year(&mut self, now: Timestamp) -> i32 {
        chrono::Datelike::year(&now) - self.rng.random_range(22..60)
    }

    fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        match list.len() {
            0 => None,
            n => list.get(self.rng.random_range(0..n)),
        }
    }
}

/// A password that nobody can guess, easy to type.
pub fn password() -> String {
    let mut rng = rand::rng();
    let mut text = String::with_capacity(PASSWORD + 3);
    for n in 0..PASSWORD {
        if n > 0 && n % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_people_are_drawn_again_and_passwords_are_not() {
        let names = Names {
            surnames: vec!["王".to_owned(), "李".to_owned()],
            given: vec!["安".to_owned(), "宁".to_owned()],
            given_length: vec![1, 2],
            suffix: "（演示）".to_owned(),
        };
        let phones = Phones { prefix: "1990000".to_owned(), digits: 4 };
        let draw = || {
            let mut draw = Draw::new(7, &names, &phones);
            (0..20).map(|_| (draw.name(), draw.phone().map(|p| p.as_str().to_owned()))).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        assert_eq!(draw()[19].1.as_deref(), Some("19900000020"));
        let passwords: std::collections::BTreeSet<String> = (0..100).map(|_| password()).collect();
        assert_eq!(passwords.len(), 100);
        for password in passwords {
            let checked = crate::domain::login::check_password("password", &password, "dispatcher1");
            assert!(checked.is_ok(), "{password}");
        }
    }
}
