//! What users write: ranges, requests, durations and sharing keys. Whatever is read is written the same way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_core::{
    config::parse_duration,
    net::AddressRange,
    request::{Request, Wanted},
    selector::Labels,
    sharing::{Backend, Port, Protocol, Sharing},
    view::Family,
};

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let second = lines.next();
    ranges(first, second.unwrap_or_default());
    request(first, second, lines.next());
    if let Ok(duration) = parse_duration(first) {
        assert_eq!(parse_duration(&format!("{}ns", duration.as_nanos())), Ok(duration));
    }
    sharing(first, second.unwrap_or_default());
});

fn ranges(first: &str, second: &str) {
    let (Ok(one), Ok(other)) = (AddressRange::parse_lenient(first), AddressRange::parse_lenient(second))
    else {
        return;
    };
    assert_eq!(AddressRange::parse_lenient(&one.to_string()), Ok(one));
    assert!(one.first() <= one.last() && one.count() > 0);
    let overlap = one.overlap(&other);
    assert_eq!(overlap, other.overlap(&one));
    let left = one.without([other]);
    assert!(left.iter().all(|part| part.overlap(&other).is_none() && part.overlap(&one) == Some(*part)));
    let all = AddressRange::merged(left.into_iter().chain(overlap).collect());
    assert_eq!(all, [one], "what is left and what was taken make the whole");
}

fn request(annotation: &str, field: Option<&str>, pool: Option<&str>) {
    let Ok(request) = Request::parse(Some(annotation), field, pool) else { return };
    assert!(request.addresses.len() <= 2);
    let written: Vec<_> = request.addresses.iter().map(ToString::to_string).collect();
    let pool = request.pool.as_ref().map(|pool| pool.as_str());
    assert_eq!(Request::parse(Some(&written.join(",")), None, pool), Ok(request.clone()));
    for wanted in &request.addresses {
        let Wanted::Host(host) = wanted else { continue };
        for range in ["192.0.2.17-192.0.3.3", "2001:db8::/120", "2001:db8::/60", "::/0", "0.0.0.0/0"] {
            let range: AddressRange = range.parse().expect("a range");
            let found: Vec<_> = host.within(range, range).take(3).collect();
            assert!(found.is_sorted() && found.iter().all(|address| range.contains(*address)));
            assert!(found.iter().all(|address| host.is_of(*address, Some(range))));
            assert!(found.iter().all(|address| Family::of(*address) == host.family));
        }
    }
}

fn sharing(key: &str, ports: &str) {
    let ports = ports.split(',').filter_map(|port| {
        let (protocol, number) = port.split_once('/')?;
        Some(Port { protocol: protocol.parse::<Protocol>().ok()?, number: number.parse().ok()? })
    });
    let labels: Labels =
        key.split(',').filter_map(|label| label.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
    let Some(sharing) = Sharing::new(key, Backend::local(&labels), ports) else { return };
    assert!(sharing.ports.is_sorted_by(|one, next| one < next));
    let conflict = sharing.conflict(&sharing);
    assert_eq!(conflict.is_some(), !sharing.ports.is_empty(), "its own ports are taken");
}
