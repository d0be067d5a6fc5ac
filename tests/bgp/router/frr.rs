use super::{Dialect, Place, Reach, Wanted, after, json, number};
use crate::lab::{Over, ROUTER_AS, SPEAKER};

pub(super) struct Frr;

impl Dialect for Frr {
    fn name(&self) -> &'static str {
        "FRR"
    }

    fn version(&self) -> Result<String, String> {
        let said = metal_tests::process::run("/usr/lib/frr/bgpd", &["--version"])?;
        let version = after(&said, "bgpd version")?;
        Ok(format!("FRR {version}"))
    }

    fn config(&self, _here: &str, wanted: &Wanted) -> String {
        let Wanted { speaker_as, router_as, password, limit, extended_next_hop, dials, reach } = *wanted;
        let peers: &[&str] = if reach == Reach::Unnumbered { &["eth0"] } else { &SPEAKER };
        let mut config = format!(
            "router bgp {router_as}\n bgp router-id 10.99.0.1\n no bgp ebgp-requires-policy\n \
             no bgp default ipv4-unicast\n"
        );
        for peer in peers {
            let interface = if reach == Reach::Unnumbered { "interface " } else { "" };
            let mut say = |words: &str| config += &format!(" neighbor {peer} {words}\n");
            say(&format!("{interface}remote-as {speaker_as}"));
            say("timers 3 9");
            say(if dials { "timers connect 1" } else { "passive" });
            if let Some(word) = password {
                say(&format!("password {word}"));
            }
            if extended_next_hop {
                say("capability extended-nexthop");
            }
            match reach {
                Reach::Direct | Reach::Unnumbered => {}
                Reach::Multihop => say("ebgp-multihop 2"),
                Reach::Gtsm => say("ttl-security hops 1"),
            }
        }
        for family in ["ipv4", "ipv6"] {
            config += &format!(" address-family {family} unicast\n");
            for peer in peers {
                config += &format!("  neighbor {peer} activate\n");
                if let Some(limit) = limit {
                    config += &format!("  neighbor {peer} maximum-prefix {limit}\n");
                }
            }
            config += " exit-address-family\n";
        }
        config
    }

    fn programs(&self, here: &str) -> Vec<(&'static str, String)> {
        let daemon = |name: &'static str| {
            let places = format!("-i {here}/{name}.pid -z {here}/zserv.api --vty_socket {here}");
            (name, format!("/usr/lib/frr/{name} -f {here}/router.conf --log stdout {places}"))
        };
        vec![daemon("zebra"), daemon("bgpd")]
    }

    fn is_up(&self, place: &Place) -> Result<(), String> {
        ask(place, "show bgp summary json").map(drop)
    }

    fn route(&self, place: &Place, prefix: &str) -> Result<String, String> {
        ask(place, &format!("show bgp {} unicast {prefix} json", family(prefix.contains(':'))))
    }

    fn count(&self, place: &Place, ipv6: bool) -> Result<usize, String> {
        let said = json(&ask(place, &format!("show bgp {} unicast summary json", family(ipv6)))?)?;
        let peers = said["peers"].as_object().into_iter().flatten();
        let received = peers.filter_map(|(_, peer)| peer["pfxRcd"].as_u64()).sum::<u64>();
        number(&received.to_string())
    }

    fn session(&self, place: &Place, over: Over) -> Result<String, String> {
        ask(place, &format!("show bgp neighbors {} json", SPEAKER[over as usize]))
    }

    fn state(&self, place: &Place, over: Over) -> Result<String, String> {
        let said = json(&self.session(place, over)?)?;
        Ok(said[SPEAKER[over as usize]]["bgpState"].as_str().unwrap_or_default().to_owned())
    }

    fn shut_down(&self, place: &Place, why: &str) -> Result<(), String> {
        let enter = format!("router bgp {ROUTER_AS}");
        let shut = format!("neighbor {} shutdown message {why}", SPEAKER[0]);
        order(place, &["configure terminal", &enter, &shut])
    }

    fn ask_again(&self, place: &Place) -> Result<(), String> {
        order(place, &[&format!("clear bgp ipv4 unicast {} soft in", SPEAKER[0])])
    }

    fn received(&self, place: &Place) -> Result<(u64, u64), String> {
        let said = json(&self.session(place, Over::V4)?)?;
        let count = |what: &str| said[SPEAKER[0]]["messageStats"][what].as_u64().unwrap_or_default();
        Ok((count("updatesRecv"), count("routeRefreshRecv")))
    }
}

fn family(ipv6: bool) -> &'static str {
    if ipv6 { "ipv6" } else { "ipv4" }
}

fn ask(place: &Place, question: &str) -> Result<String, String> {
    place.run(&["vtysh", "--vty_socket", place.here(), "-c", question])
}

/// As its operator.
fn order(place: &Place, orders: &[&str]) -> Result<(), String> {
    let orders = orders.iter().flat_map(|order| ["-c", order]);
    place
        .run(&["vtysh", "--vty_socket", place.here()].into_iter().chain(orders).collect::<Vec<_>>())
        .map(drop)
}
