//! What the daemons have written: the addresses of Services.

use std::{fs, net::IpAddr, path::Path};

use serde::Deserialize;

/// The addresses of a Service in the state directory; none when the controller has not given it any.
pub(crate) fn addresses(state: &Path, namespace: &str, name: &str) -> Vec<IpAddr> {
    let file = state.join("services").join(namespace).join(format!("{name}.json"));
    let Ok(text) = fs::read_to_string(file) else { return Vec::new() };
    // Files are renamed into place, so what cannot be parsed is not ours.
    serde_json::from_str::<Service>(&text).map(|service| service.addresses()).unwrap_or_default()
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default, rename = "loadBalancer")]
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
struct LoadBalancer {
    #[serde(default)]
    ingress: Vec<Ingress>,
}

#[derive(Deserialize)]
struct Ingress {
    ip: Option<IpAddr>,
}

impl Service {
    fn addresses(&self) -> Vec<IpAddr> {
        self.status.load_balancer.ingress.iter().filter_map(|ingress| ingress.ip).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scratch::Scratch;

    #[test]
    fn addresses_are_read_from_the_status() {
        let scratch = Scratch::create().unwrap();
        let directory = scratch.subdirectory("services/default").unwrap();
        let text = r#"{"apiVersion":"v1","kind":"Service","metadata":{"namespace":"default","name":"web"},
            "status":{"loadBalancer":{"ingress":[{"ip":"192.168.42.200","ipMode":"VIP"},{"ip":"2001:db8::1"}]}}}"#;
        fs::write(directory.join("web.json"), text).unwrap();
        fs::write(directory.join("pending.json"), r#"{"status":{"loadBalancer":{}}}"#).unwrap();
        let found = addresses(scratch.path(), "default", "web");
        assert_eq!(found, ["192.168.42.200".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
        assert_eq!(addresses(scratch.path(), "default", "pending"), [] as [IpAddr; 0]);
        assert_eq!(addresses(scratch.path(), "default", "missing"), [] as [IpAddr; 0]);
    }
}
