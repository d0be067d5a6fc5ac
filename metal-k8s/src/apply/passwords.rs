//! Which Secrets the speakers may read: those that hold passwords in use, and no other.

use std::{collections::BTreeSet, sync::Arc};

use kube::{
    Api,
    api::{DynamicObject, Patch},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use super::{ClusterWriter, Error};
use crate::parse::is_name;

/// The Role, which `deploy/metal.yaml` binds to the speakers.
pub(crate) const ROLE: &str = "metal-bgp-passwords";

impl ClusterWriter {
    /// Makes the Role say that exactly these Secrets may be read. Writes nothing if it does already.
    pub(super) async fn secrets_in_use(&self, names: &BTreeSet<Arc<str>>) -> Result<(), Error> {
        let kind = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", "Role");
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.options.namespace, &resource);
        let rules = rules(names);
        let before = api.get_opt(ROLE).await?;
        let said = before.map(|role| role.data.get("rules").filter(|rules| !rules.is_null()).cloned());
        if said.is_some_and(|said| said.unwrap_or_else(|| json!([])) == rules) {
            return Ok(());
        }
        let role = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": ROLE, "namespace": self.options.namespace},
            "rules": rules,
        });
        self.may_write()?;
        Ok(api.patch(ROLE, &self.params(), &Patch::Apply(&role)).await.map(drop)?)
    }
}

/// The rules of the Role. A rule without names would be about all Secrets, and one with an empty name about lists of
/// all; so without names there is no rule, and what is no name is left out.
fn rules(names: &BTreeSet<Arc<str>>) -> Value {
    let names: Vec<&str> = names.iter().map(|name| &**name).filter(|name| is_name(name)).collect();
    if names.is_empty() {
        return json!([]);
    }
    json!([{
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": names,
        "verbs": ["get", "list", "watch"],
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_names_are_no_rule() {
        let rules = |names: &[&str]| rules(&names.iter().map(|name| (*name).into()).collect());
        for none in [&[][..], &[""], &["", "not a name", "*", "a,b"]] {
            assert_eq!(rules(none), json!([]));
        }
        let two = rules(&["tor-b", "", "tor-a"]);
        assert_eq!(two[0]["resourceNames"], json!(["tor-a", "tor-b"]));
        assert_eq!((&two[0]["resources"], two.as_array().map(Vec::len)), (&json!(["secrets"]), Some(1)));
    }
}
