//! Decides which addresses may be called: the public internet, and the ranges in `OUTBOUND_ALLOW`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::IpRange;

/// What an address is, where it is not public. The IANA special-purpose registries, and what carries an IPv4 address inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Public,
    Special(&'static str),
}

const V4_SPECIAL: [([u8; 4], u8, &str); 15] = [
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared by a carrier's customers"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved for protocols"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// Parts of `2000::/3` that are not for public hosts; outside of it nothing is.
const V6_SPECIAL: [(u128, u8, &str); 4] = [
    (0x2001_0000 << 96, 23, "reserved for protocols"),
    (0x2001_0db8 << 96, 32, "for documentation"),
    (0x3ffe_0000 << 96, 16, "reserved"),
    (0x3fff_0000 << 96, 20, "for documentation"),
];

/// Refuses `ip` with what it is, unless it is public or in one of the ranges `allow`.
pub(super) fn check(ip: IpAddr, allow: &[IpRange]) -> Result<(), &'static str> {
    let ip = reached(ip);
    match sort_of(ip) {
        Sort::Special(what) if !allow.iter().any(|range| range.contains(ip)) => Err(what),
        _ => Ok(()),
    }
}

/// The address that is reached in the end: IPv4 in IPv6 by mapping, 6to4 and NAT64 is the IPv4 address.
fn reached(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    let [.., hi, lo] = v6.segments();
    match v6.segments() {
        [0x2002, hi, lo, ..] => v4_of(hi, lo),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => v4_of(hi, lo),
        _ => IpAddr::V6(v6),
    }
}

fn v4_of(hi: u16, lo: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(u32::from(hi) << 16 | u32::from(lo)))
}

fn sort_of(ip: IpAddr) -> Sort {
    match ip {
        IpAddr::V4(v4) => V4_SPECIAL
            .into_iter()
            .find(|&(net, prefix, _)| (u32::from_be_bytes(net) ^ v4.to_bits()) >> (32 - prefix) == 0)
            .map_or(Sort::Public, |(_, _, what)| Sort::Special(what)),
        IpAddr::V6(v6) => sort_of_v6(v6),
    }
}

fn sort_of_v6(v6: Ipv6Addr) -> Sort {
    if v6.is_loopback() {
        return Sort::Special("loopback");
    }
    match v6.segments()[0] {
        0x2000..=0x3fff => V6_SPECIAL
            .into_iter()
            .find(|&(net, prefix, _)| (net ^ v6.to_bits()) >> (128 - prefix) == 0)
            .map_or(Sort::Public, |(_, _, what)| Sort::Special(what)),
        0xfc00..=0xfdff => Sort::Special("private"),
        0xfe80..=0xfebf => Sort::Special("link-local"),
        0xff00..=0xffff => Sort::Special("multicast"),
        _ => Sort::Special("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(text: &str) -> bool {
        check(text.parse().unwrap(), &[]).is_err()
    }

    #[test]
    fn no_special_address_is_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378::",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:c0a8:101::",
            "3fff::1",
            "3ffe::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_refused(text), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_public_however_they_are_written() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::",
        ] {
            assert!(!is_refused(text), "{text}");
        }
    }

    #[test]
    fn an_allowed_range_opens_its_addresses_and_no_others() {
        let allow = [IpRange { address: "10.1.0.0".parse().unwrap(), prefix: 16 }];
        for (text, is_allowed) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("64:ff9b::10.1.2.3", true), ("10.2.0.1", false)]
        {
            assert_eq!(check(text.parse().unwrap(), &allow).is_ok(), is_allowed, "{text}");
        }
    }
}
