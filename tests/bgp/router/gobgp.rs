use super::{Dialect, Place, Reach, Wanted, after, json, number};
use crate::lab::{Over, SPEAKER};

pub(super) struct Gobgp;

impl Dialect for Gobgp {
    fn name(&self) -> &'static str {
        "GoBGP"
    }

    fn version(&self) -> Result<String, String> {
        let said = metal_tests::process::run("gobgp", &["--version"])?;
        Ok(format!("GoBGP {}", after(&said, "version")?))
    }

    fn config(&self, _here: &str, wanted: &Wanted) -> String {
        let Wanted { speaker_as, router_as, password, limit, extended_next_hop: _, dials, reach } = *wanted;
        let password = password.map(|word| format!("auth-password = \"{word}\"")).unwrap_or_default();
        let families = ["ipv4-unicast", "ipv6-unicast"].map(|family| {
            let limit = limit
                .map(|limit| format!("[neighbors.afi-safis.prefix-limit.config]\nmax-prefixes = {limit}\n"));
            format!(
                "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\"\n\
                 [neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n{}",
                limit.unwrap_or_default()
            )
        });
        let reach_words = match reach {
            Reach::Direct | Reach::Unnumbered => "",
            Reach::Multihop => "[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = 2\n",
            Reach::Gtsm => "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n",
        };
        let peers = if reach == Reach::Unnumbered {
            vec!["neighbor-interface = \"eth0\"".to_owned()]
        } else {
            SPEAKER.iter().map(|speaker| format!("neighbor-address = \"{speaker}\"")).collect()
        };
        let sessions: String = peers
            .iter()
            .map(|peer| {
                format!(
                    "[[neighbors]]\n[neighbors.config]\n{peer}\npeer-as = {speaker_as}\n{password}\n\
                     [neighbors.transport.config]\npassive-mode = {}\n\
                     [neighbors.timers.config]\nhold-time = 9\nconnect-retry = 1\n\
                     [neighbors.graceful-restart.config]\nenabled = true\nhelper-only = true\nrestart-time = 20\n\
                     {reach_words}{}",
                    !dials,
                    families.concat()
                )
            })
            .collect();
        format!("[global.config]\nas = {router_as}\nrouter-id = \"10.99.0.1\"\n{sessions}")
    }

    fn programs(&self, here: &str) -> Vec<(&'static str, String)> {
        vec![("gobgpd", format!("gobgpd -f {here}/router.conf --log-plain"))]
    }

    fn is_up(&self, place: &Place) -> Result<(), String> {
        let said = ask(place, "neighbor")?;
        // Its neighbours come after itself.
        if said.lines().count() > 1 { Ok(()) } else { Err(said) }
    }

    fn route(&self, place: &Place, prefix: &str) -> Result<String, String> {
        ask(place, &format!("global rib {prefix} -a {}", family(prefix.contains(':'))))
    }

    fn count(&self, place: &Place, ipv6: bool) -> Result<usize, String> {
        // "Destination: 3, Path: 3"
        let said = ask(place, &format!("global rib summary -a {}", family(ipv6)))?;
        number(after(&said, "Destination: ")?.split(',').next().unwrap_or_default())
    }

    /// Its log alone has the last words.
    fn session(&self, place: &Place, over: Over) -> Result<String, String> {
        Ok(ask(place, &format!("neighbor {}", SPEAKER[over as usize]))? + &place.log())
    }

    fn state(&self, place: &Place, over: Over) -> Result<String, String> {
        let said = ask(place, &format!("neighbor {}", SPEAKER[over as usize]))?;
        Ok(after(&said, "BGP state = ")?.split(',').next().unwrap_or_default().to_owned())
    }

    fn shut_down(&self, place: &Place, why: &str) -> Result<(), String> {
        place.run(&["gobgp", "neighbor", SPEAKER[0], "shutdown", "--reason", why]).map(drop)
    }

    fn ask_again(&self, place: &Place) -> Result<(), String> {
        ask(place, &format!("neighbor {} softresetin", SPEAKER[0])).map(drop)
    }

    /// The second number is that of the requests that it has sent.
    fn received(&self, place: &Place) -> Result<(u64, u64), String> {
        let said = json(&ask(place, &format!("-j neighbor {}", SPEAKER[0]))?)?;
        let count = |path: &str| match said.pointer(&format!("/state/messages/{path}")) {
            None => Ok(0),
            Some(serde_json::Value::String(text)) => number(text),
            Some(value) => number(&value.to_string()),
        };
        Ok((count("received/update")?, count("sent/refresh")?))
    }
}

fn family(ipv6: bool) -> &'static str {
    if ipv6 { "ipv6" } else { "ipv4" }
}

fn ask(place: &Place, question: &str) -> Result<String, String> {
    place.run(&["gobgp"].into_iter().chain(question.split(' ')).collect::<Vec<_>>())
}
