//! What we write, the other codecs read the same.
//!
//! Each reads our octets into its own values and writes those again; what it wrote says the same to us. So
//! nothing was lost or understood otherwise on the way. `routecore` and `zettabgp` are asked for what they see.

use std::net::{Ipv4Addr, Ipv6Addr};

use metal_benches::bgp_traffic::{messages, updates};
use metal_bgp::wire::{
    Attributes, Capability, Contents, Message as Ours, Nlri, Open, Packer, Safi,
    attribute::{Community, ExtendedCommunity, LargeCommunity, NextHop},
    build::{Originate, Routes},
    frame::{Frame, MaxLength},
};
use metal_rivals::{
    Codec, Received,
    bgpkit::Bgpkit,
    metal,
    netgauze::NetGauze,
    routecore,
    rustbgpd::Rustbgpd,
    zettabgp::{Message, Zetta},
};

/// UPDATEs as the speaker packs them, for both families, announced and withdrawn.
fn packed() -> Vec<Vec<u8>> {
    let session = metal::session();
    let mut attributes = Attributes::originate(Originate::External { own_as: 4_200_000_001 });
    attributes.communities =
        vec![Community::new(65_001, 1), Community::GRACEFUL_SHUTDOWN, Community::NO_EXPORT];
    attributes.large_communities = vec![LargeCommunity { global: 4_200_000_001, local1: 1, local2: 2 }];
    attributes.extended_communities =
        ExtendedCommunity::link_bandwidth(65_001, 1.25e8, true).into_iter().collect();
    attributes.multi_exit_disc = Some(10);
    let v4: Vec<_> = (0..2_000_u32)
        .map(|n| ipnet::Ipv4Net::new_assert((0x0a00_0000 + (n << 6)).into(), 24 + n as u8 % 9).trunc())
        .collect();
    let v6: Vec<_> = (0..600_u128)
        .map(|n| {
            ipnet::Ipv6Net::new_assert(((0x2001_0db8 << 96) + (n << 62)).into(), 64 + n as u8 % 65).trunc()
        })
        .collect();
    let hop4 = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let hop6 = NextHop::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let mut packed = Vec::new();
    let mut buffer = [0; 4096];
    macro_rules! pack {
        ($packer:expr) => {
            let mut packer = $packer.unwrap();
            while let Some(length) = packer.write(&mut buffer).unwrap() {
                packed.push(buffer[..length].to_vec());
            }
        };
    }
    pack!(Packer::announce(&attributes, hop4, Safi::UNICAST, v4.iter().copied(), &session));
    pack!(Packer::announce(&attributes, hop6, Safi::UNICAST, v6.iter().copied(), &session));
    pack!(Packer::withdraw(Safi::UNICAST, v4.iter().copied(), &session));
    pack!(Packer::withdraw(Safi::UNICAST, v6.iter().copied(), &session));
    assert!(packed.len() > 10);
    packed
}

/// What a message says to us.
#[derive(Debug, PartialEq)]
enum Said {
    Open(Open<'static>),
    Update(Box<Contents>),
    Keepalive,
}

fn said(bytes: &[u8]) -> Said {
    let frame = Frame::parse(bytes, MaxLength::Standard).unwrap();
    assert_eq!(frame.len(), bytes.len());
    match Ours::parse(&frame, &metal::session()).unwrap() {
        Ours::Open(open) => Said::Open(open.into_owned()),
        Ours::Update(update) => {
            let mut contents = Contents::of(&update);
            // In no order that means anything.
            contents.attributes.communities.sort_unstable();
            contents.attributes.large_communities.sort_unstable();
            contents.attributes.extended_communities.sort_unstable();
            Said::Update(Box::new(contents))
        }
        Ours::Keepalive => Said::Keepalive,
        other => panic!("{other:?}"),
    }
}

fn all() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = messages().into_iter().map(|sample| sample.bytes).collect();
    all.extend(packed());
    // Written by us, from the generator's octets.
    let mut values = metal::Values::new();
    for bytes in updates(7, 1_000) {
        let received = Received::new(&bytes);
        let message = values.decode(&received).unwrap();
        let written = values.written(&message).unwrap();
        assert_eq!(written, bytes, "the generator's messages are canonical");
        all.push(written);
    }
    all
}

fn agrees<C: Codec>() {
    let mut codec = C::new();
    for bytes in all() {
        let received = Received::new(&bytes);
        let message = codec.decode(&received).unwrap_or_else(|| panic!("{} refuses {bytes:02x?}", C::NAME));
        let written =
            codec.written(&message).unwrap_or_else(|| panic!("{} cannot write {bytes:02x?}", C::NAME));
        match (said(&written), said(&bytes)) {
            (Said::Open(theirs), Said::Open(ours)) => same_open(C::NAME, &theirs, &ours),
            (theirs, ours) => assert_eq!(theirs, ours, "{}: {bytes:02x?}", C::NAME),
        }
    }
}

/// Capabilities that a codec does not know it leaves out, and not all know the N of graceful restart (RFC 8538).
fn same_open(codec: &str, theirs: &Open<'_>, ours: &Open<'_>) {
    let fixed = |open: &Open<'_>| (open.my_as, open.hold_time, open.bgp_identifier);
    assert_eq!(fixed(theirs), fixed(ours), "{codec}");
    let without_n = |open: &Open<'_>| -> Vec<Capability<'static>> {
        let mut capabilities = open.capabilities.to_vec();
        for capability in &mut capabilities {
            if let Capability::GracefulRestart(restart) = capability {
                restart.notification = false;
            }
        }
        capabilities
    };
    let (theirs, mut ours) = (without_n(theirs), without_n(ours));
    ours.retain(|capability| theirs.iter().any(|other| other.code() == capability.code()));
    assert_eq!(theirs, ours, "{codec}");
    assert!(theirs.len() >= 5, "{codec}: {theirs:?}");
}

#[test]
fn netgauze_reads_the_same() {
    agrees::<NetGauze>();
}

/// It writes paths with a segment type that is not theirs, so it is asked for what it read.
#[test]
fn zettabgp_reads_the_same() {
    use ::zettabgp::prelude::*;
    let v4 = |list: &[BgpAddrV4]| list.iter().map(|net| format!("{}/{}", net.addr, net.prefixlen)).collect();
    let v6 = |list: &[BgpAddrV6]| list.iter().map(|net| format!("{}/{}", net.addr, net.prefixlen)).collect();
    let list = |addresses: &BgpAddrs| -> Vec<String> {
        match addresses {
            BgpAddrs::IPV4U(list) => v4(list),
            BgpAddrs::IPV6U(list) => v6(list),
            BgpAddrs::None => vec![],
            other => panic!("{other:?}"),
        }
    };
    let mut codec = Zetta::new();
    let mut updates = 0;
    for bytes in all() {
        let received = Received::new(&bytes);
        let (Said::Update(ours), Some(Message::Update(theirs))) = (said(&bytes), codec.decode(&received))
        else {
            continue;
        };
        updates += 1;
        let mut announced = list(&theirs.updates);
        announced.extend(theirs.get_mpupdates().map(|mp| list(&mp.addrs)).unwrap_or_default());
        assert_eq!(announced, prefixes(ours.mp_reach.as_ref().map(|reach| &reach.routes), &ours.nlri));
        let mut withdrawn = list(&theirs.withdraws);
        withdrawn.extend(theirs.get_mpwithdraws().map(|mp| list(&mp.addrs)).unwrap_or_default());
        assert_eq!(withdrawn, prefixes(ours.mp_unreach.as_ref(), &ours.withdrawn));

        let path: Vec<u32> = theirs
            .get_attr_aspath()
            .iter()
            .flat_map(|path| &path.value)
            .flat_map(|item| match item {
                BgpASitem::Seq(sequence) => sequence.value.iter().map(|asn| asn.value).collect::<Vec<_>>(),
                BgpASitem::Set(_) => panic!("we write no AS_SET"),
            })
            .collect();
        let asns: Vec<u32> =
            ours.attributes.as_path.iter().flatten().flat_map(|path| path.asns.clone()).collect();
        assert_eq!(path, asns);
        let communities: Vec<u32> = theirs
            .get_attr_communitylist()
            .iter()
            .flat_map(|list| &list.value)
            .map(|item| item.value)
            .collect();
        assert_eq!(communities, ours.attributes.communities.iter().map(|item| item.0).collect::<Vec<_>>());
        let large: Vec<_> = theirs
            .get_attr_largecommunitylist()
            .iter()
            .flat_map(|list| &list.value)
            .map(|item| LargeCommunity { global: item.ga, local1: item.ldp1, local2: item.ldp2 })
            .collect();
        assert_eq!(large, ours.attributes.large_communities);
    }
    assert!(updates > 1_000);
}

/// All prefixes of one kind, in the order of the message.
fn prefixes(routes: Option<&Routes>, plain: &[Nlri<ipnet::Ipv4Net>]) -> Vec<String> {
    let mut all: Vec<_> = plain.iter().map(|nlri| nlri.prefix.to_string()).collect();
    match routes {
        Some(Routes::Ipv4(_, list)) => all.extend(list.iter().map(|nlri| nlri.prefix.to_string())),
        Some(Routes::Ipv6(_, list)) => all.extend(list.iter().map(|nlri| nlri.prefix.to_string())),
        None => {}
    }
    all
}

#[test]
fn bgpkit_reads_the_same() {
    agrees::<Bgpkit>();
}

#[test]
fn rustbgpd_reads_the_same() {
    agrees::<Rustbgpd>();
}

#[test]
fn routecore_reads_the_same() {
    use ::routecore::bgp::message::Message as Theirs;
    let mut codec = routecore::Routecore::new();
    for bytes in all() {
        let received = Received::new(&bytes);
        let Some(Theirs::Update(update)) = codec.decode(&received) else { continue };
        let Said::Update(ours) = said(&bytes) else { panic!("not an UPDATE to us: {bytes:02x?}") };
        let mut announced: Vec<_> =
            update.announcements_vec().unwrap().iter().map(|nlri| nlri.to_string()).collect();
        announced.sort_unstable();
        assert_eq!(
            announced,
            sorted(prefixes(ours.mp_reach.as_ref().map(|reach| &reach.routes), &ours.nlri))
        );
        let mut withdrawn: Vec<_> =
            update.withdrawals_vec().unwrap().iter().map(|nlri| nlri.to_string()).collect();
        withdrawn.sort_unstable();
        assert_eq!(withdrawn, sorted(prefixes(ours.mp_unreach.as_ref(), &ours.withdrawn)));
        assert_eq!(update.multi_exit_disc().unwrap().map(|med| med.0), ours.attributes.multi_exit_disc);
    }
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort_unstable();
    list
}
