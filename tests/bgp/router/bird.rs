use super::{Dialect, Place, Reach, Wanted, after, number};
use crate::lab::{Over, ROUTER, SPEAKER};

pub(super) struct Bird;

impl Dialect for Bird {
    fn name(&self) -> &'static str {
        "BIRD"
    }

    fn version(&self) -> Result<String, String> {
        // It prints that where errors go.
        let said = metal_tests::process::run("sh", &["-c", "bird --version 2>&1"])?;
        Ok(format!("BIRD {}", after(&said, "version")?))
    }

    fn config(&self, _here: &str, wanted: &Wanted) -> String {
        let Wanted { speaker_as, router_as, password, limit, extended_next_hop, dials, reach } = *wanted;
        let password = password.map(|word| format!("password \"{word}\";")).unwrap_or_default();
        let limit = limit.map(|limit| format!("import limit {limit} action disable;")).unwrap_or_default();
        let extended = if extended_next_hop { "extended next hop on;" } else { "" };
        let opens = if dials { "connect delay time 1; connect retry time 1;" } else { "passive on;" };
        let reach_words = match reach {
            Reach::Direct | Reach::Unnumbered => "",
            Reach::Multihop => "multihop 2;",
            Reach::Gtsm => "ttl security on;",
        };
        let session = |name: &str, addresses: &str| {
            format!(
                "protocol bgp {name} {{
                    {addresses} {opens} {reach_words} hold time 9;
                    error wait time 1,1; error forget time 1; {password}
                    ipv4 {{ import all; export none; {limit} {extended} }};
                    ipv6 {{ import all; export none; {limit} }};
                }}\n"
            )
        };
        let mut config =
            "router id 10.99.0.1;\nlog stderr all;\ndebug protocols { states, packets };\nprotocol device {}\n"
                .to_owned();
        // What is beyond another router, somebody else has told the kernel.
        let (learn, import) = if reach == Reach::Multihop { ("learn;", "all") } else { ("", "none") };
        for family in ["ipv4", "ipv6"] {
            config += &format!(
                "protocol kernel {{ {learn} {family} {{ import {import}; export where source = RTS_BGP; }}; }}\n"
            );
        }
        if reach == Reach::Unnumbered {
            // Its side of Router Discovery.
            config += "protocol radv { interface \"eth0\" { default lifetime 0; min ra interval 3; max ra interval 4; }; }\n";
            let whom = format!(
                "local as {router_as}; neighbor range fe80::/10 as {speaker_as}; interface \"eth0\"; direct;"
            );
            return config + &session("over4", &whom);
        }
        for (name, index) in [("over4", 0), ("over6", 1)] {
            let (router, speaker) = (ROUTER[index], SPEAKER[index]);
            let whom = format!("local {router} as {router_as}; neighbor {speaker} as {speaker_as};");
            config += &session(name, &whom);
        }
        config
    }

    fn programs(&self, here: &str) -> Vec<(&'static str, String)> {
        vec![("bird", format!("bird -f -c {here}/router.conf -s {here}/router.sock"))]
    }

    fn is_up(&self, place: &Place) -> Result<(), String> {
        ask(place, "show status").map(drop)
    }

    fn route(&self, place: &Place, prefix: &str) -> Result<String, String> {
        ask(place, &format!("show route {prefix} all"))
    }

    fn count(&self, place: &Place, ipv6: bool) -> Result<usize, String> {
        // "3 of 3 routes for 3 networks in table master4"
        let said = ask(place, &format!("show route count table master{}", if ipv6 { 6 } else { 4 }))?;
        let line = said.lines().find(|line| line.contains("routes for")).ok_or(said.clone())?;
        number(line.split_whitespace().next().unwrap_or_default())
    }

    fn session(&self, place: &Place, over: Over) -> Result<String, String> {
        ask(place, &format!("show protocols all {}", protocol(over)))
    }

    fn state(&self, place: &Place, over: Over) -> Result<String, String> {
        Ok(after(&self.session(place, over)?, "BGP state:")?.to_owned())
    }

    fn shut_down(&self, place: &Place, why: &str) -> Result<(), String> {
        order(place, &["disable", "over4", &format!("\"{why}\"")])
    }

    fn ask_again(&self, place: &Place) -> Result<(), String> {
        order(place, &["reload", "in", "over4"])
    }

    fn received(&self, place: &Place) -> Result<(u64, u64), String> {
        // "Import updates: 100 0 0 0 100", the first of which is what was received.
        let session = self.session(place, Over::V4)?;
        let updates = after(&session, "Import updates:")?.split_whitespace().next().unwrap_or_default();
        let log = place.log();
        let marks = ["BEGIN-OF-RR", "END-OF-RR"].map(|mark| log.matches(&format!("Got {mark}")).count());
        Ok((number(updates)?, marks.iter().sum::<usize>().try_into().unwrap_or(u64::MAX)))
    }
}

fn protocol(over: Over) -> &'static str {
    match over {
        Over::V4 => "over4",
        Over::V6 => "over6",
    }
}

fn ask(place: &Place, question: &str) -> Result<String, String> {
    let control = format!("{}/router.sock", place.here());
    let words: Vec<&str> = ["birdc", "-r", "-s", &control].into_iter().chain(question.split(' ')).collect();
    place.run(&words)
}

/// As its operator.
fn order(place: &Place, words: &[&str]) -> Result<(), String> {
    let control = format!("{}/router.sock", place.here());
    place.run(&[&["birdc", "-s", &control], words].concat()).map(drop)
}
