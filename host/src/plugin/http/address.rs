//! Which addresses are this machine's own, or of its network link: what listens there
//! trusts whoever can reach it, and cloud providers hand out credentials there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the metadata of cloud machines is besides the link-local addresses: Alibaba's, and
/// Amazon's by IPv6.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether an address has to be named literally by a permission.
pub(super) fn has_to_be_named(address: IpAddr) -> bool {
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(address) => is_near(address),
            IpAddr::V6(address) => {
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_multicast()
                    || address.is_unicast_link_local()
                    || within(address).is_some_and(|within| has_to_be_named(within.into()))
            }
        }
}

fn is_near(address: Ipv4Addr) -> bool {
    address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        // 0.0.0.0/8 is this machine, whatever follows.
        || address.octets()[0] == 0
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, translated
/// (NAT64), 6to4.
fn within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => {
            of(g, h)
        }
        (0x2002, ..) => of(b, c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_has_to_be_named() {
        for near in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00:ec2::254",
            "::ffff:0:127.0.0.1",
        ] {
            assert!(has_to_be_named(near.parse().unwrap()), "{near}");
        }
        for far in [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "93.184.216.34",
            "1.1.1.1",
            "fd00::1",
            "2606:4700::1111",
            "::ffff:10.0.0.1",
            "64:ff9b::808:808",
            "2002:808:808::",
        ] {
            assert!(!has_to_be_named(far.parse().unwrap()), "{far}");
        }
    }
}
