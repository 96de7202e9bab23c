//! Addresses that mean another thing on every machine, and are nobody's to send us to: this machine, its link, a cloud's metadata.
//!
//! Which hosts are asked is said by manifests, Ingresses and registries of others. A request to one of these addresses would reach
//! what trusts this machine because it is near (CWE-918).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds answer their machines, outside of the link-local networks.
const METADATA: [IpAddr; 5] = [
    // Alibaba, Azure and Oracle.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // AWS and Google.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether an address is this machine's own.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    match plain(address) {
        // The rest of 0/8 is "this network" (RFC 791), which systems take for themselves.
        IpAddr::V4(address) => address.is_loopback() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_loopback() || address.is_unspecified(),
    }
}

/// Whether an address is this machine's, its link's or a cloud's for its machines.
pub(super) fn is_local(address: IpAddr) -> bool {
    let plain = plain(address);
    is_loopback(plain)
        || METADATA.contains(&plain)
        || match plain {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
}

/// Whether a host says by itself that it is such an address. Numbers that are no whole address (`127.1`, `0x7f000001`) count,
/// since a proxy may take them for one.
pub(super) fn is_named_local(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if let Ok(address) = host.parse::<IpAddr>() {
        return is_local(address);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    last == "localhost" || host == "ip6-localhost" || host == "ip6-loopback" || is_number
}

/// An IPv4 address that is written as an IPv6 one, as itself: mapped (`::ffff:127.0.0.1`), compatible (`::127.0.0.1`) or
/// translated (`64:ff9b::127.0.0.1`, RFC 6052).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    let segments = six.segments();
    let is_translated = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let is_compatible = segments[..6] == [0; 6] && segments[6] != 0;
    match six.to_ipv4_mapped() {
        Some(four) => four.into(),
        None if is_translated || is_compatible => {
            let [.., a, b, c, d] = six.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_addresses_are_nobodys_to_send_us_to() {
        for (text, loopback) in [
            ("127.0.0.1", true),
            ("127.255.255.254", true),
            ("0.0.0.0", true),
            ("0.1.2.3", true),
            ("::1", true),
            ("::", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:0.0.0.0", true),
            ("::127.0.0.1", true),
            ("64:ff9b::7f00:1", true),
            ("169.254.169.254", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("fd00:ec2::254", false),
            ("100.100.100.200", false),
            ("::ffff:168.63.129.16", false),
        ] {
            let address = text.parse().expect("an address");
            assert!(is_local(address), "{text}");
            assert_eq!(is_loopback(address), loopback, "{text}");
            assert!(is_named_local(text), "{text}");
        }
        for text in [
            "192.0.2.1",
            "10.0.0.1",
            "192.168.0.1",
            "172.16.0.1",
            "128.0.0.1",
            "169.253.0.1",
            "100.64.0.1",
            "2001:db8::1",
            "fd00::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
        ] {
            assert!(!is_local(text.parse().expect("an address")), "{text}");
            assert!(!is_named_local(text), "{text}");
        }
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "api.localhost",
            "ip6-localhost",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.0.0.1.",
        ] {
            assert!(is_named_local(host), "{host}");
        }
        for host in ["example.org", "localhost.example.org", "app.kub.test", "a1"] {
            assert!(!is_named_local(host), "{host}");
        }
    }
}
