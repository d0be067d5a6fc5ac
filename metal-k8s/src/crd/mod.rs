//! The custom resources, field by field what MetalLB has, so that its YAML applies unchanged.
//!
//! `deploy/crds` is generated from these types.

mod accepted;
mod bfd_profile;
mod bgp_advertisement;
mod bgp_peer;
mod bgp_session_state;
mod community;
mod configuration_state;
mod ip_address_pool;
mod ip_reservation;
mod l2_advertisement;
mod service_bgp_status;
mod service_l2_status;

use std::{fs, io, path::Path};

use kube::CustomResourceExt;
use serde_json::Value;

pub use accepted::AcceptedStatus;
pub use bfd_profile::{BFDProfile, BFDProfileSpec};
pub use bgp_advertisement::{BGPAdvertisement, BGPAdvertisementSpec, NextHop};
pub use bgp_peer::{AddressFromNode, BGPPeer, BGPPeerSpec, FromNode, Password, SecretReference};
pub use bgp_session_state::{BGPSessionState, BGPSessionStateSpec, BGPSessionStateStatus};
pub use community::{Community, CommunityAlias, CommunitySpec};
pub use configuration_state::{
    AddressFinding, ConfigurationState, ConfigurationStateSpec, ConfigurationStateStatus, NodeNetwork,
};
pub use ip_address_pool::{
    HeldAddress, IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation,
};
pub use ip_reservation::{IPReservation, IPReservationSpec, IPReservationStatus, ServiceReference};
pub use l2_advertisement::{
    L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector,
};
pub use service_bgp_status::{ServiceBGPStatus, ServiceBGPStatusSpec, ServiceBGPStatusStatus};
pub use service_l2_status::{InterfaceInfo, ServiceL2Status, ServiceL2StatusSpec, ServiceL2StatusStatus};

/// The condition that says whether an object is in force.
pub const ACCEPTED: &str = "Accepted";

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, such as `metallb.io_ipaddresspools.yaml`.
    pub name: String,
    /// Its text.
    pub yaml: String,
}

/// The `CustomResourceDefinition` of every resource, as YAML.
///
/// # Panics
/// Never: the definitions are constants that serialize.
#[must_use]
pub fn all() -> Vec<File> {
    [
        json(&IPAddressPool::crd()),
        without_required_spec(json(&L2Advertisement::crd())),
        without_required_spec(json(&ServiceL2Status::crd())),
        json(&IPReservation::crd()),
        without_required_spec(json(&ConfigurationState::crd())),
        with_v1beta1(without_required_spec(json(&BGPPeer::crd()))),
        without_required_spec(json(&BGPAdvertisement::crd())),
        without_required_spec(json(&Community::crd())),
        without_required_spec(json(&BFDProfile::crd())),
        without_required_spec(json(&ServiceBGPStatus::crd())),
        without_required_spec(json(&BGPSessionState::crd())),
    ]
    .into_iter()
    .map(file)
    .collect()
}

/// Writes [`all`] into `directory`, which is made where it does not exist.
///
/// # Errors
/// When the directory or a file cannot be written.
pub fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for File { name, yaml } in all() {
        fs::write(directory.join(name), yaml)?;
    }
    Ok(())
}

fn json(definition: &impl serde::Serialize) -> Value {
    serde_json::to_value(definition).expect("a definition serializes")
}

/// MetalLB has no required field in it, so that an object without it is common.
fn without_required_spec(mut definition: Value) -> Value {
    for version in definition["spec"]["versions"].as_array_mut().into_iter().flatten() {
        if let Some(Value::Object(schema)) = version.pointer_mut("/schema/openAPIV3Schema") {
            schema.remove("required");
        }
    }
    definition
}

/// The definition of `BGPPeer` with its old version, which is served as well. The fields are the same in both, so that the
/// API server itself turns one into the other. The new ones have to be among them: whoever applies anything to an object
/// that was written in the old version has the API server read all of it by that schema.
fn with_v1beta1(mut definition: Value) -> Value {
    let versions = definition["spec"]["versions"].as_array_mut().expect("a definition has versions");
    let mut old = versions[0].clone();
    old["name"] = "v1beta1".into();
    old["storage"] = false.into();
    old["deprecated"] = true.into();
    old["deprecationWarning"] = "metallb.io/v1beta1 BGPPeer is deprecated: write metallb.io/v1beta2".into();
    old["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"] =
        serde_json::json!(["myASN", "peerASN", "peerAddress"]);
    versions.insert(0, old);
    definition
}

fn file(mut definition: Value) -> File {
    selectors_are_atomic(&mut definition);
    let text = |path: &str| definition.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let name = format!("{}_{}.yaml", text("/spec/group"), text("/spec/names/plural"));
    let yaml = serde_saphyr::to_string(&definition).expect("a definition serializes");
    let yaml = format!("# Generated from metal-k8s/src/crd; `{REGENERATE}` writes it anew.\n{yaml}");
    File { name, yaml }
}

const REGENERATE: &str = "UPDATE=1 cargo test -p metal-k8s crds_are_current";

/// A label selector is one value: whoever applies it owns all of it. `schemars` cannot say this of a type
/// that is not ours.
fn selectors_are_atomic(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let is_selector = map
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|fields| fields.contains_key("matchLabels") && fields.len() == 2);
            if is_selector {
                map.insert("x-kubernetes-map-type".into(), "atomic".into());
            }
            map.values_mut().for_each(selectors_are_atomic);
        }
        Value::Array(items) => items.iter_mut().for_each(selectors_are_atomic),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crds_are_current() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
        if std::env::var_os("UPDATE").is_some() {
            write(&directory).unwrap();
        }
        for File { name, yaml } in all() {
            let there = fs::read_to_string(directory.join(&name)).unwrap_or_default();
            assert!(there == yaml, "deploy/crds/{name} is stale; run: {REGENERATE}");
        }
        let there = fs::read_dir(&directory).unwrap().count();
        assert_eq!(there, all().len(), "deploy/crds has files that no type stands for; remove them");
    }

    #[test]
    fn names_scope_and_status_are_those_of_metallb() {
        let expected = [
            ("ipaddresspools.metallb.io", "IPAddressPool"),
            ("l2advertisements.metallb.io", "L2Advertisement"),
            ("servicel2statuses.metallb.io", "ServiceL2Status"),
            ("ipreservations.metallb.io", "IPReservation"),
            ("configurationstates.metallb.io", "ConfigurationState"),
            ("bgppeers.metallb.io", "BGPPeer"),
            ("bgpadvertisements.metallb.io", "BGPAdvertisement"),
            ("communities.metallb.io", "Community"),
            ("bfdprofiles.metallb.io", "BFDProfile"),
            ("servicebgpstatuses.metallb.io", "ServiceBGPStatus"),
            ("bgpsessionstates.frrk8s.metallb.io", "BGPSessionState"),
        ];
        assert_eq!(all().len(), expected.len());
        for (file, (name, kind)) in all().iter().zip(expected) {
            let crd: Value = serde_saphyr::from_str(&file.yaml).unwrap();
            assert_eq!(crd["metadata"]["name"], name);
            assert_eq!(crd["spec"]["names"]["kind"], kind);
            assert_eq!(crd["spec"]["scope"], "Namespaced");
            assert_eq!(crd["spec"]["versions"][0]["name"], "v1beta1");
            assert!(crd["spec"]["versions"][0]["subresources"]["status"].is_object());
        }
    }

    #[test]
    fn the_schema_has_the_defaults_and_rules_of_metallb() {
        let schema = |index: usize| {
            let crd: Value = serde_saphyr::from_str(&all()[index].yaml).unwrap();
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
        };
        let pool = schema(0);
        let spec = &pool["properties"]["spec"];
        assert_eq!(spec["required"], serde_json::json!(["addresses"]));
        assert_eq!(spec["properties"]["autoAssign"]["default"], true);
        assert_eq!(spec["properties"]["avoidBuggyIPs"]["default"], false);
        let selectors = &spec["properties"]["serviceAllocation"]["properties"]["serviceSelectors"];
        assert_eq!(selectors["items"]["x-kubernetes-map-type"], "atomic");
        let conditions = &pool["properties"]["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-map-keys"], serde_json::json!(["type"]));
        let weight = &schema(1)["properties"]["spec"]["properties"]["preferredNodeSelectors"]["items"]["properties"]
            ["weight"];
        assert_eq!((weight["minimum"].as_f64(), weight["maximum"].as_f64()), (Some(1.0), Some(100.0)));
        assert_eq!(pool["required"], serde_json::json!(["spec"]));
        assert!(schema(1).get("required").is_none());
        let l2 = schema(2);
        assert!(l2.get("required").is_none());
        assert_eq!(
            l2["properties"]["status"]["properties"]["node"]["x-kubernetes-validations"][0]["rule"],
            "self == oldSelf"
        );
        let reservation = schema(3);
        let rules = &reservation["properties"]["spec"]["x-kubernetes-validations"];
        assert_eq!(rules.as_array().map(Vec::len), Some(1), "{reservation}");
        let networks = &schema(4)["properties"]["status"]["properties"]["networks"];
        assert_eq!(networks["x-kubernetes-list-map-keys"], serde_json::json!(["interface"]));
    }

    #[test]
    fn a_peer_is_served_in_two_versions_and_stored_in_the_newer() {
        let crd: Value = serde_saphyr::from_str(&all()[5].yaml).unwrap();
        let version = |index: usize| &crd["spec"]["versions"][index];
        let said = |index| ["name", "served", "storage"].map(|field| version(index)[field].to_string());
        assert_eq!(said(0), ["\"v1beta1\"", "true", "false"]);
        assert_eq!(said(1), ["\"v1beta2\"", "true", "true"]);
        assert_eq!(version(0)["deprecated"], true);
        let spec = |index| &version(index)["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(spec(0)["required"], serde_json::json!(["myASN", "peerASN", "peerAddress"]));
        assert_eq!(spec(1)["required"], serde_json::json!(["myASN"]));
        let fields = |index| spec(index)["properties"].as_object().unwrap();
        assert_eq!(fields(0), fields(1));
        assert_eq!(fields(1)["peerPort"]["default"], 179);
        let rules = |index| spec(index)["x-kubernetes-validations"].as_array().map_or(0, Vec::len);
        assert_eq!((rules(0), rules(1)), (2, 2));
        let from = &fields(1)["peerAddressFrom"];
        assert_eq!(from["x-kubernetes-validations"].as_array().map(Vec::len), Some(1));
        assert_eq!(from["properties"]["defaultGateway"]["enum"], serde_json::json!(["IPv4", "IPv6"]));
        assert_eq!(fields(1)["dynamicASN"]["enum"], serde_json::json!(["internal", "external"]));
        assert_eq!(fields(1)["myASN"]["maximum"].as_f64(), Some(4_294_967_295.0));
    }

    #[test]
    fn the_rules_of_an_advertisement_by_bgp_and_of_a_profile() {
        let spec = |index: usize| {
            let crd: Value = serde_saphyr::from_str(&all()[index].yaml).unwrap();
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
                .clone()
        };
        let advertisement = spec(6);
        assert_eq!(advertisement["aggregationLength"]["default"], 32);
        assert_eq!(advertisement["aggregationLengthV6"]["default"], 128);
        assert_eq!(advertisement["withoutEndpoints"]["enum"], serde_json::json!(["Withdraw", "Keep"]));
        let multiplier = &spec(8)["detectMultiplier"];
        assert_eq!(
            (multiplier["minimum"].as_f64(), multiplier["maximum"].as_f64()),
            (Some(2.0), Some(255.0))
        );
    }

    #[test]
    fn what_is_new_in_a_pool_has_its_rules() {
        let crd: Value = serde_saphyr::from_str(&all()[0].yaml).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        let spec = &schema["spec"]["properties"];
        assert_eq!(spec["sharing"]["enum"], serde_json::json!(["Never", "SameNamespace", "Key"]));
        assert_eq!(spec["reassignPolicy"]["enum"], serde_json::json!(["Never", "Immediate"]));
        assert_eq!(spec["maxAddressesPerNamespace"]["minimum"].as_f64(), Some(1.0));
        assert!(spec["reuseDelay"]["pattern"].is_string());
        let held = &schema["status"]["properties"]["held"];
        assert_eq!((&held["maxItems"], &held["x-kubernetes-list-type"]), (&256.into(), &"atomic".into()));
    }
}
