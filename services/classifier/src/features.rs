//! What a text looks like to a linear model: its known n-grams, damped counts times rarity, brought to length one.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::text;

/// Hashes n-gram keys: one multiplication and a fold. The keys are already well spread and come from nobody who
/// could gain by making them collide.
#[derive(Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, key: u64) {
        let product = u128::from(self.0 ^ key) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// A map from n-gram keys.
pub type KeyMap<V> = HashMap<u64, V, BuildHasherDefault<KeyHasher>>;

/// A sparse vector: features in rising order with their values.
pub type Vector = Vec<(u32, f32)>;

/// The n-grams that a model knows, with the rarity of each.
#[derive(Debug, Default)]
pub struct Vocabulary {
    /// Keys in rising order; the place of a key is its feature.
    pub keys: Vec<u64>,
    /// Inverse document frequency by feature.
    pub idf: Vec<f32>,
    places: KeyMap<u32>,
}

impl Vocabulary {
    /// Of keys in rising order and their rarity.
    pub fn new(keys: Vec<u64>, idf: Vec<f32>) -> Self {
        let places = keys.iter().zip(0..).map(|(key, place)| (*key, place)).collect();
        Self { keys, idf, places }
    }

    /// The feature of a key.
    pub fn place(&self, key: u64) -> Option<u32> {
        self.places.get(&key).copied()
    }

    /// Fills `out` with the vector of normalised characters; `ids` is scratch.
    pub fn vector(&self, chars: &[char], ids: &mut Vec<u32>, out: &mut Vector) {
        ids.clear();
        out.clear();
        text::grams(chars, |key, _, _| ids.extend(self.place(key)));
        ids.sort_unstable();
        for run in ids.chunk_by(|a, b| a == b) {
            let damped = 1.0 + (run.len() as f32).ln();
            out.push((run[0], damped * self.idf[run[0] as usize]));
        }
        unit(out);
    }
}

/// `weight`·`a` + `b`, brought to length one.
pub fn blend(a: &[(u32, f32)], weight: f32, b: &[(u32, f32)], out: &mut Vector) {
    out.clear();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let left = a.get(i).map_or(u32::MAX, |item| item.0);
        let right = b.get(j).map_or(u32::MAX, |item| item.0);
        let mut value = 0.0;
        if left <= right {
            value += weight * a[i].1;
            i += 1;
        }
        if right <= left {
            value += b[j].1;
            j += 1;
        }
        out.push((left.min(right), value));
    }
    unit(out);
}

fn unit(vector: &mut Vector) {
    let length = vector.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|(_, value)| *value /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blend_adds_what_both_sides_share() {
        let mut out = Vector::new();
        blend(&[(1, 1.0), (3, 1.0)], 2.0, &[(3, 1.0), (4, 6.0)], &mut out);
        let scale = (4.0_f32 + 9.0 + 36.0).sqrt();
        assert_eq!(out, vec![(1, 2.0 / scale), (3, 3.0 / scale), (4, 6.0 / scale)]);
    }

    #[test]
    fn unknown_n_grams_are_left_out() {
        let vocabulary = Vocabulary::new(vec!['a' as u64 + 1], vec![1.5]);
        let (mut ids, mut out) = (Vec::new(), Vector::new());
        vocabulary.vector(&['a', 'b', 'a'], &mut ids, &mut out);
        assert_eq!(out, vec![(0, 1.0)]);
    }
}
