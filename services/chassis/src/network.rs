//! Addresses and networks: what a deployment names, and what is known to be public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, bail};

/// A network such as `10.20.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads an address with the length of its prefix.
    ///
    /// # Errors
    /// For what is no network.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (address, bits) = text.split_once('/').with_context(|| format!("{text} has no prefix length"))?;
        let address: IpAddr = address.parse().with_context(|| format!("{text} is not a network"))?;
        let bits: u8 = bits.parse().with_context(|| format!("{text} is not a network"))?;
        if bits > if address.is_ipv4() { 32 } else { 128 } {
            bail!("{text} is not a network");
        }
        // Addresses are judged as what they are, and so are networks; one of both versions is none.
        let inner = plain(address);
        let bits = if inner == address { Some(bits) } else { bits.checked_sub(96) };
        Ok(Self { address: inner, bits: bits.with_context(|| format!("{text} is not a network"))? })
    }

    /// Whether an address is of this network.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (plain(address), self.address) {
            (IpAddr::V4(a), IpAddr::V4(n)) => within_v4(a, n, self.bits),
            (IpAddr::V6(a), IpAddr::V6(n)) => within_v6(a, n, self.bits),
            _ => false,
        }
    }
}

/// A version 4 address that is written as version 6 is what it is.
pub fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Whether an address is known to be globally reachable.
pub fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|(network, bits)| within_v4(v4, *network, *bits)),
        IpAddr::V6(v6) => {
            within_v6(v6, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
                && !SPECIAL_V6.iter().any(|(network, bits)| within_v6(v6, *network, *bits))
        }
    }
}

fn within_v4(address: Ipv4Addr, network: Ipv4Addr, bits: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

fn within_v6(address: Ipv6Addr, network: Ipv6Addr, bits: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

/// IANA's special-purpose registries: what is not globally reachable.
const SPECIAL_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::new(100, 100, 100, 200), 32), // a cloud's metadata, in no registry
];

/// Of the global unicast range: protocol assignments (Teredo among them), documentation, 6to4.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
