//! From partition key to partition to consumer group. Fixed for ever: another hash would let events of one key
//! overtake each other while two versions run side by side.

use uuid::Uuid;

/// Logical partitions, the same on both buses.
pub const PARTITIONS: u8 = 64;

/// FNV-1a (64 bit) over the 16 bytes of the key, both halves folded together, mod 64.
pub fn partition(key: Uuid) -> u8 {
    let hash = key.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let folded = hash ^ (hash >> 32);
    (folded % u64::from(PARTITIONS)) as u8 // below 64
}

/// The consumer group of a partition when the partitions are split into `groups` contiguous runs.
pub fn group(partition: u8, groups: u8) -> u8 {
    (u16::from(partition) * u16::from(groups.clamp(1, PARTITIONS)) / u16::from(PARTITIONS)) as u8 // below groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_pinned() {
        let keys = [
            ("00000000-0000-0000-0000-000000000000", VECTORS[0]),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", VECTORS[1]),
            ("01890a5d-ac96-774b-bcce-b302099a8057", VECTORS[2]),
            ("019a0000-0000-7000-8000-000000000001", VECTORS[3]),
            ("019a0000-0000-7000-8000-000000000002", VECTORS[4]),
        ];
        for (key, expected) in keys {
            assert_eq!(partition(key.parse().unwrap()), expected, "{key}");
        }
    }

    /// Worked out by another implementation.
    const VECTORS: [u8; 5] = [28, 29, 47, 59, 18];

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0_u32; 64];
        for _ in 0..64_000 {
            counts[usize::from(partition(crate::clock::new_id()))] += 1;
        }
        assert!(counts.iter().all(|n| (800..1200).contains(n)), "{counts:?}");
    }

    #[test]
    fn groups_are_contiguous_and_even() {
        for groups in [1, 2, 3, 4, 8, 64] {
            let of: Vec<u8> = (0..PARTITIONS).map(|p| group(p, groups)).collect();
            assert!(of.windows(2).all(|w| w[0] == w[1] || w[0] + 1 == w[1]));
            assert_eq!((of[0], of[63]), (0, groups - 1));
        }
    }
}
