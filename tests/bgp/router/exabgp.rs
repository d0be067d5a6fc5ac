//! ExaBGP has no table: it hands all that it hears to a program, here into a file.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
};

use serde_json::Value;

use super::{Dialect, Place, Reach, Wanted, after, json};
use crate::lab::{Over, ROUTER, SPEAKER};

pub(super) struct Exabgp;

impl Dialect for Exabgp {
    fn name(&self) -> &'static str {
        "ExaBGP"
    }

    fn version(&self) -> Result<String, String> {
        let said = metal_tests::process::run("exabgp", &["--version"])?;
        Ok(format!("ExaBGP {}", after(&said, "ExaBGP :")?))
    }

    fn config(&self, here: &str, wanted: &Wanted) -> String {
        let Wanted { speaker_as, router_as, password, limit, extended_next_hop, dials, reach } = *wanted;
        let password = password.map(|word| format!("md5-password \"{word}\";")).unwrap_or_default();
        let limit = limit.map(|limit| format!("maximum-prefix {limit};")).unwrap_or_default();
        let extended = if extended_next_hop { "nexthop { ipv4 unicast ipv6; }" } else { "" };
        let reach_words = match reach {
            Reach::Direct | Reach::Unnumbered => "",
            Reach::Multihop => "outgoing-ttl 2;",
            Reach::Gtsm => "listen 179; outgoing-ttl 255; incoming-ttl 255;",
        };
        let session = |speaker: &str, router: &str| {
            format!(
                "neighbor {speaker} {{
                    router-id 10.99.0.1; local-address {router}; local-as {router_as}; peer-as {speaker_as};
                    hold-time 9; passive {}; {reach_words} {password} {limit}
                    capability {{ asn4 enable; route-refresh enable; nexthop {}; }}
                    family {{ ipv4 unicast; ipv6 unicast; }}
                    {extended}
                    api {{
                        processes [ heard ]; neighbor-changes;
                        receive {{ parsed; update; notification; refresh; }}
                    }}
                }}\n",
                !dials,
                if extended_next_hop { "enable" } else { "disable" },
            )
        };
        let sessions = if reach == Reach::Unnumbered {
            session("eth0", ROUTER[1])
        } else {
            (0..2).map(|index| session(SPEAKER[index], ROUTER[index])).collect()
        };
        format!("process heard {{ run /bin/sh {here}/heard.sh; encoder json; }}\n{sessions}")
    }

    fn programs(&self, here: &str) -> Vec<(&'static str, String)> {
        // Orders are what the program prints; it ends with its parent.
        let script = format!(
            "#!/bin/sh\ntail -q -s 0.1 --pid=$PPID -n +1 -f {here}/orders &\nexec cat >{here}/heard\n"
        );
        for (name, text) in [("heard", ""), ("orders", ""), ("heard.sh", script.as_str())] {
            fs::write(format!("{here}/{name}"), text).expect("written");
        }
        let bind = ROUTER.join(" ");
        fs::write(format!("{here}/start.sh"), start_script(here, &bind)).expect("written");
        vec![("exabgp", format!("/bin/sh {here}/start.sh"))]
    }

    fn is_up(&self, place: &Place) -> Result<(), String> {
        let log = place.log();
        if log.contains("loaded new configuration successfully") { Ok(()) } else { Err(log) }
    }

    fn route(&self, place: &Place, prefix: &str) -> Result<String, String> {
        let found = heard(place)?.into_values().find_map(|mut heard| heard.routes.remove(prefix));
        found.ok_or_else(|| format!("no route to {prefix}"))
    }

    fn count(&self, place: &Place, ipv6: bool) -> Result<usize, String> {
        let heard = heard(place)?;
        let prefixes = heard.values().flat_map(|heard| heard.routes.keys());
        Ok(prefixes.filter(|prefix| prefix.contains(':') == ipv6).count())
    }

    fn session(&self, place: &Place, _over: Over) -> Result<String, String> {
        fs::read_to_string(place.directory.join("heard")).map_err(|error| error.to_string())
    }

    fn state(&self, place: &Place, over: Over) -> Result<String, String> {
        let state = heard(place)?.remove(SPEAKER[over as usize]).map(|heard| heard.state);
        Ok(state.unwrap_or_else(|| "no connection".into()))
    }

    fn is_established(&self, state: &str) -> bool {
        state == "up"
    }

    /// The text is not the operator's to choose.
    fn shut_down(&self, place: &Place, _why: &str) -> Result<(), String> {
        order(place, &format!("neighbor {} teardown 2", SPEAKER[0]))
    }

    fn ask_again(&self, place: &Place) -> Result<(), String> {
        order(place, &format!("neighbor {} announce route-refresh ipv4 unicast", SPEAKER[0]))
    }

    fn received(&self, place: &Place) -> Result<(u64, u64), String> {
        let heard = heard(place)?.remove(SPEAKER[0]).unwrap_or_default();
        Ok((heard.announced, heard.marks))
    }
}

/// What it says of a configuration that it does not take.
pub(super) fn refusal(place: &Place) -> String {
    let conf = format!("{}/router.conf", place.here());
    let words = ["sh", "-c", "exabgp --validate \"$1\" 2>&1 || true", "sh", &conf];
    let said = place.run(&words).unwrap_or_else(|error| panic!("{error}"));
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.rsplit('|').next().unwrap_or_default().trim().to_owned()
}

fn start_script(here: &str, bind: &str) -> String {
    format!(
        "cd {here}\nexec env exabgp.daemon.user=root exabgp.daemon.drop=false exabgp.api.cli=false \
         exabgp.api.ack=false exabgp.log.destination=stdout exabgp.tcp.bind='{bind}' exabgp router.conf\n"
    )
}

/// What it has handed over so far of one neighbour.
#[derive(Default)]
struct Heard {
    state: String,
    routes: BTreeMap<String, String>,
    announced: u64,
    marks: u64,
}

/// By neighbour.
fn heard(place: &Place) -> Result<BTreeMap<String, Heard>, String> {
    let text = fs::read_to_string(place.directory.join("heard")).map_err(|error| error.to_string())?;
    let mut heard = BTreeMap::<String, Heard>::new();
    // The last line may not be there to its end yet.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let is_mark = line.contains("\"type\": \"refresh\"");
        // Those are not written as JSON.
        let message = json(&if is_mark { line.replace("\"\"", "\"") } else { line.to_owned() })?;
        if let Some(peer) = message["neighbor"]["address"]["peer"].as_str() {
            heard.entry(peer.to_owned()).or_default().take(&message);
        }
    }
    Ok(heard)
}

impl Heard {
    fn take(&mut self, message: &Value) {
        let neighbor = &message["neighbor"];
        match message["type"].as_str() {
            Some("state") => {
                self.state = neighbor["state"].as_str().unwrap_or_default().to_owned();
                if self.state == "down" {
                    self.routes.clear();
                }
            }
            Some("refresh") => self.marks += 1,
            Some("update") => self.update(&neighbor["message"]["update"]),
            _ => {}
        }
    }

    fn update(&mut self, update: &Value) {
        let families = |what: &str| update[what].as_object().into_iter().flatten().map(|(_, value)| value);
        let prefixes = |list: &Value| {
            let list = list.as_array().cloned().unwrap_or_default();
            list.into_iter().filter_map(|entry| entry["nlri"].as_str().map(str::to_owned))
        };
        for list in families("withdraw") {
            for prefix in prefixes(list) {
                self.routes.remove(&prefix);
            }
        }
        for by_next_hop in families("announce") {
            for (next_hop, list) in by_next_hop.as_object().into_iter().flatten() {
                let said = format!("next-hop {next_hop} {}", update["attribute"]);
                for prefix in prefixes(list) {
                    self.announced += 1;
                    self.routes.insert(prefix, said.clone());
                }
            }
        }
    }
}

/// As its operator.
fn order(place: &Place, order: &str) -> Result<(), String> {
    let orders = OpenOptions::new().append(true).open(place.directory.join("orders"));
    orders.and_then(|mut orders| writeln!(orders, "{order}")).map_err(|error| error.to_string())
}
