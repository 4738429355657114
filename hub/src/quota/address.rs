//! Client addresses: which ones count as one client, for every limit by address.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that identify a client: providers give at least a /64 to each.
pub(crate) const IPV6_PREFIX: u32 = 64;

/// The client of a `REMOTE_ADDR`. `None` for a value that is no address, such as `unix:`: all clients of such a server would
/// count as one.
pub(crate) fn client(address: &str) -> Option<IpAddr> {
    let address: IpAddr = address.parse().ok()?;
    Some(match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX)).into()
        }
        address @ IpAddr::V4(_) => address,
    })
}

/// A client for messages; IPv6 with the length of its prefix.
pub(crate) fn shown(client: IpAddr) -> String {
    if client.is_ipv6() { format!("{client}/{IPV6_PREFIX}") } else { client.to_string() }
}

/// A number for a client, only to compare; 0 for `None` and the unspecified address.
pub(crate) fn number(client: Option<IpAddr>) -> u64 {
    match client {
        None => 0,
        Some(IpAddr::V4(address)) => address.to_bits().into(),
        // The other bits of a client's address are 0.
        Some(IpAddr::V6(address)) => (address.to_bits() >> (128 - IPV6_PREFIX)) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_network_are_one_client_and_no_address_is_none() {
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), client("2001:db8:1:2::1"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("::ffff:192.0.2.7"), client("192.0.2.7"));
        assert_ne!(client("192.0.2.7"), client("192.0.2.8"));
        assert_eq!(["unix:", "", "localhost"].map(client), [None; 3]);
        let named = ["2001:db8:1:2::1", "192.0.2.7"].map(|address| client(address).map(shown));
        assert_eq!(named, [Some("2001:db8:1:2::/64".into()), Some("192.0.2.7".into())]);
    }
}
