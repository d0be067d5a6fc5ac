//! BGP messages to measure codecs with, written byte by byte and without any codec.
//!
//! [`messages`] are fixed messages of one kind each. [`updates`] is a stream of UPDATEs that looks like what a
//! route collector hears, but it is **synthetic**: prefix lengths, path lengths, the number of prefixes per
//! message and of communities per route follow the rough shape of public collectors' dumps in 2026, everything
//! is drawn from a seed, and no recorded traffic is part of it.
//!
//! All messages are in canonical form (MP_REACH_NLRI first, attributes ascending, communities sorted and unique,
//! four-octet AS numbers, at most 4096 octets), so that an encoder has to give the same bytes.

/// How many UPDATEs the mixed stream has.
pub const STREAM_MESSAGES: usize = 7_350;

/// The seed of the stream that benchmarks and tests use.
pub const STREAM_SEED: u64 = 0x6d65_7461_6c21;

/// One message with the name that tables use.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name of the row.
    pub name: &'static str,
    /// The whole message, header included.
    pub bytes: Vec<u8>,
}

/// The fixed messages: OPEN, one virtual address, one route of the global table, a full message of each family,
/// KEEPALIVE.
#[must_use]
pub fn messages() -> Vec<Sample> {
    let sample = |name, bytes| Sample { name, bytes };
    vec![
        sample("open", open()),
        sample("vip4", vip4(1)),
        sample("dfz4", dfz4()),
        sample("full4", vip4(808)),
        sample("full6", full6()),
        sample("keepalive", message(4, &[])),
    ]
}

/// OPEN with eight capabilities in one parameter, 71 octets.
#[must_use]
pub fn open() -> Vec<u8> {
    let mut body = vec![4, 0xfd, 0xe9, 0, 90, 192, 0, 2, 1, 42, 2, 40];
    body.extend([1, 4, 0, 1, 0, 1]); // multiprotocol, IPv4 unicast
    body.extend([1, 4, 0, 2, 0, 1]); // multiprotocol, IPv6 unicast
    body.extend([2, 0]); // route refresh
    body.extend([5, 6, 0, 1, 0, 1, 0, 2]); // extended next hop: IPv4 unicast over IPv6
    body.extend([6, 0]); // extended message
    body.extend([64, 6, 0xc0, 120, 0, 1, 1, 0x80]); // graceful restart, R and N, F for IPv4 unicast
    body.extend([65, 4, 0, 0, 0xfd, 0xe9]); // four-octet AS 65001
    body.extend([70, 0]); // enhanced route refresh
    message(1, &body)
}

/// An UPDATE with `prefixes` /32s of one attribute set: IGP, one hop, two communities. 59 octets with one.
#[must_use]
pub fn vip4(prefixes: u32) -> Vec<u8> {
    let mut attributes = vec![];
    attribute(&mut attributes, 0x40, 1, &[0]);
    as_path(&mut attributes, &[65_001]);
    attribute(&mut attributes, 0x40, 3, &[192, 0, 2, 1]);
    attribute(&mut attributes, 0xc0, 8, &words(&[(65_001 << 16) | 100, (65_001 << 16) | 200]));
    let mut nlri = vec![];
    for address in (0..prefixes).map(|n| 0x0a00_0000_u32 + n) {
        nlri.push(32);
        nlri.extend(address.to_be_bytes());
    }
    update(&[], &attributes, &nlri)
}

/// A route as the global table has them: five hops, MED, eight communities, two extended, three large; two /24.
#[must_use]
pub fn dfz4() -> Vec<u8> {
    let mut attributes = vec![];
    attribute(&mut attributes, 0x40, 1, &[0]);
    as_path(&mut attributes, &[64_496, 4_200_000_010, 64_499, 64_500, 4_200_000_020]);
    attribute(&mut attributes, 0x40, 3, &[192, 0, 2, 1]);
    attribute(&mut attributes, 0x80, 4, &50_u32.to_be_bytes());
    attribute(
        &mut attributes,
        0xc0,
        8,
        &words(&[1, 2, 3, 4, 5, 6, 7, 8].map(|n| (64_496 << 16) | (n * 100))),
    );
    let targets = [[0, 2, 0xfb, 0xf0, 0, 0, 0, 1], [0, 2, 0xfb, 0xf0, 0, 0, 0, 2]];
    attribute(&mut attributes, 0xc0, 16, targets.as_flattened());
    attribute(&mut attributes, 0xc0, 32, &words(&[64_496, 1, 1, 64_496, 1, 2, 64_496, 2, 1]));
    update(&[], &attributes, &[24, 203, 0, 113, 24, 198, 51, 100])
}

/// An UPDATE full of IPv6: 237 /128s in MP_REACH_NLRI.
#[must_use]
pub fn full6() -> Vec<u8> {
    let mut reach = vec![0, 2, 1, 16];
    reach.extend(0x2001_0db8_0000_0000_0000_0000_0000_0001_u128.to_be_bytes());
    reach.push(0);
    for address in (0..237).map(|n| 0x2001_0db8_0042_0000_0000_0000_0000_0000_u128 + n) {
        reach.push(128);
        reach.extend(address.to_be_bytes());
    }
    let mut attributes = vec![];
    attribute(&mut attributes, 0x80, 14, &reach);
    attribute(&mut attributes, 0x40, 1, &[0]);
    as_path(&mut attributes, &[65_001]);
    update(&[], &attributes, &[])
}

/// A stream of `count` UPDATEs with mixed contents. The same seed gives the same bytes.
#[must_use]
pub fn updates(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    (0..count).map(|_| one_update(&mut random)).collect()
}

fn one_update(random: &mut Random) -> Vec<u8> {
    // A collector hears about one withdrawal per six messages, and IPv6 in one of five.
    let kind = random.below(100);
    let prefixes = match random.below(100) {
        0..62 => 1,
        62..80 => 2,
        80..92 => 3 + random.below(4),
        92..99 => 6 + random.below(20),
        _ => 26 + random.below(150),
    };
    match kind {
        0..13 => update(&prefixes4(random, prefixes), &[], &[]),
        13..16 => {
            let mut unreach = vec![0, 2, 1];
            unreach.extend(prefixes6(random, prefixes));
            let mut attributes = vec![];
            attribute(&mut attributes, 0x80, 15, &unreach);
            update(&[], &attributes, &[])
        }
        16..83 => {
            let mut attributes = vec![];
            let next_hop = [192, 0, 2, octet(random)];
            route(random, &mut attributes, Some(next_hop));
            let nlri = prefixes4(random, prefixes);
            update(&[], &attributes, &nlri)
        }
        _ => {
            let mut reach = vec![0, 2, 1];
            // Peers on a shared subnet add their link-local address.
            let both = random.chance(30);
            reach.push(if both { 32 } else { 16 });
            let host = u128::from(random.below(250));
            reach.extend((0x2001_0db8_0000_0000_0000_0000_0000_0001_u128 + host).to_be_bytes());
            if both {
                reach.extend((0xfe80_0000_0000_0000_0000_0000_0000_0001_u128 + host).to_be_bytes());
            }
            reach.push(0);
            reach.extend(prefixes6(random, prefixes));
            let mut attributes = vec![];
            attribute(&mut attributes, 0x80, 14, &reach);
            route(random, &mut attributes, None);
            update(&[], &attributes, &[])
        }
    }
}

/// The attributes of a route, ascending.
fn route(random: &mut Random, to: &mut Vec<u8>, next_hop: Option<[u8; 4]>) {
    let origin = if random.chance(88) { 0 } else { 2 };
    attribute(to, 0x40, 1, &[origin]);

    let mut path = vec![64_496 + random.below(16)];
    for _ in 0..1 + random.geometric(26, 9) {
        path.push(if random.chance(35) { 131_072 + random.below(280_000) } else { 1 + random.below(60_000) });
    }
    if random.chance(12) {
        // Prepended at the origin.
        let last = *path.last().unwrap_or(&64_496);
        path.extend((0..1 + random.below(4)).map(|_| last));
    }
    as_path(to, &path);

    if let Some(next_hop) = next_hop {
        attribute(to, 0x40, 3, &next_hop);
    }
    if random.chance(22) {
        attribute(to, 0x80, 4, &random.below(1_000).to_be_bytes());
    }
    if random.chance(3) {
        attribute(to, 0x40, 6, &[]);
    }
    if random.chance(7) {
        let mut aggregator = path[path.len() - 1].to_be_bytes().to_vec();
        aggregator.extend([10, 0, octet(random), octet(random)]);
        attribute(to, 0xc0, 7, &aggregator);
    }
    if random.chance(72) {
        let count = 1 + random.geometric(18, 40);
        let mut communities: Vec<u32> =
            (0..count).map(|_| ((1 + random.below(64_000)) << 16) | random.below(10_000)).collect();
        communities.sort_unstable();
        communities.dedup();
        attribute(to, 0xc0, 8, &words(&communities));
    }
    if random.chance(9) {
        let count = 1 + random.geometric(60, 4);
        let mut communities: Vec<[u8; 8]> =
            (0..count).map(|_| [0, 2, 0xfb, 0xf0, 0, 0, octet(random), octet(random)]).collect();
        communities.sort_unstable();
        communities.dedup();
        attribute(to, 0xc0, 16, communities.as_flattened());
    }
    if random.chance(20) {
        let count = 1 + random.geometric(35, 12);
        let mut communities: Vec<[u32; 3]> =
            (0..count).map(|_| [path[0], random.below(2_000), random.below(2_000)]).collect();
        communities.sort_unstable();
        communities.dedup();
        attribute(to, 0xc0, 32, &words(communities.as_flattened()));
    }
    if random.chance(4) {
        attribute(to, 0xc0, 35, &path[0].to_be_bytes());
    }
}

fn prefixes4(random: &mut Random, count: u32) -> Vec<u8> {
    let mut bytes = vec![];
    for _ in 0..count {
        let length = match random.below(100) {
            0..60 => 24,
            60..71 => 23,
            71..82 => 22,
            82..87 => 21,
            87..92 => 20,
            92..97 => 16 + random.below(4),
            97..99 => 32,
            _ => 8 + random.below(8),
        };
        let address = (0x0100_0000 + random.below(0xdeff_ffff)) & !(u32::MAX.unbounded_shr(length));
        bytes.push(narrow(length));
        bytes.extend(&address.to_be_bytes()[..length.div_ceil(8) as usize]);
    }
    bytes
}

fn prefixes6(random: &mut Random, count: u32) -> Vec<u8> {
    let mut bytes = vec![];
    for _ in 0..count {
        let length = match random.below(100) {
            0..50 => 48,
            50..65 => 32,
            65..75 => 44,
            75..85 => 40,
            85..92 => 36,
            92..97 => 29,
            97..99 => 64,
            _ => 128,
        };
        let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
        let address = ((0x2 << 124) | (bits >> 4)) & !(u128::MAX.unbounded_shr(length));
        bytes.push(narrow(length));
        bytes.extend(&address.to_be_bytes()[..length.div_ceil(8) as usize]);
    }
    bytes
}

/// A whole UPDATE around its three parts.
fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = length(withdrawn.len()).to_vec();
    body.extend(withdrawn);
    body.extend(length(attributes.len()));
    body.extend(attributes);
    body.extend(nlri);
    message(2, &body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend(length(19 + body.len()));
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

fn as_path(to: &mut Vec<u8>, path: &[u32]) {
    let mut value = vec![2, narrow(u32::try_from(path.len()).unwrap_or(u32::MAX))];
    value.extend(words(path));
    attribute(to, 0x40, 2, &value);
}

fn attribute(to: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    match u8::try_from(value.len()) {
        Ok(length) => to.extend([flags, code, length]),
        Err(_) => {
            to.extend([flags | 0x10, code]);
            to.extend(length(value.len()));
        }
    }
    to.extend(value);
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Two length octets; what is made here is always shorter than 4096 octets.
fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("a message of this generator fits two length octets").to_be_bytes()
}

fn narrow(value: u32) -> u8 {
    u8::try_from(value).expect("a length of this generator fits one octet")
}

fn octet(random: &mut Random) -> u8 {
    narrow(random.below(256))
}

/// SplitMix64: small, and good enough to draw lengths.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly below `limit`, near enough.
    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(((self.next() >> 32) * u64::from(limit)) >> 32).unwrap_or(0)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// How often in a row a draw of `percent` fails, at most `limit`.
    fn geometric(&mut self, percent: u32, limit: u32) -> u32 {
        (0..limit).take_while(|_| !self.chance(percent)).count().try_into().unwrap_or(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_messages_have_the_lengths_that_tables_quote() {
        let lengths: Vec<_> = messages().iter().map(|sample| (sample.name, sample.bytes.len())).collect();
        let expected = [("open", 71), ("vip4", 59), ("dfz4", 167), ("full4", 4094), ("full6", 4090)];
        assert_eq!(lengths[..5], expected);
        assert_eq!(lengths[5], ("keepalive", 19));
    }

    #[test]
    fn the_stream_repeats_and_fits() {
        let stream = updates(STREAM_SEED, STREAM_MESSAGES);
        assert_eq!(stream, updates(STREAM_SEED, STREAM_MESSAGES));
        assert!(stream.iter().all(|bytes| (23..=4096).contains(&bytes.len())));
        let total: usize = stream.iter().map(Vec::len).sum();
        // About a hundred octets per message, as in collectors' dumps.
        assert!((650_000..850_000).contains(&total), "{total} octets");
    }
}
