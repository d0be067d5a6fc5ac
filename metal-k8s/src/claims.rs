//! Other field managers' claims to what the controller writes.
//!
//! What two managers own outlives the withdrawal by one of them: the status of a Service that was MetalLB's would stay
//! when we clear it. So what we write is taken away from everybody else who owns it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use metal_core::controller::Assignment;
use serde_json::{Map, Value, json};

use crate::{
    annotation::{ALLOCATED_FROM, POOL_LABELS},
    backend::CONTROLLER,
};

/// What has to be merged into a Service that we have just written, and whose metadata are `meta`, so that we alone own
/// what we write; `None` when we do. It removes annotations that have outlived their withdrawal, too.
pub(crate) fn takeover(meta: &ObjectMeta, assignment: &Assignment) -> Option<Value> {
    let mut taken = false;
    let mut fields = Vec::new();
    for entry in meta.managed_fields.iter().flatten() {
        match without_ours(entry) {
            Some(left) => {
                taken = true;
                fields.extend(left);
            }
            None => fields.push(entry.clone()),
        }
    }
    let mut left = Map::new();
    for (key, is_wanted) in
        [(ALLOCATED_FROM, !assignment.pools.is_empty()), (POOL_LABELS, assignment.pool_labels.is_some())]
    {
        if !is_wanted && meta.annotations.as_ref().is_some_and(|all| all.contains_key(key)) {
            left.insert(key.into(), Value::Null);
        }
    }
    if !taken && left.is_empty() {
        return None;
    }
    // Only of this version: the list is replaced as a whole.
    let mut patch = json!({"metadata": {"resourceVersion": meta.resource_version}});
    if taken {
        patch["metadata"]["managedFields"] = json!(fields);
    }
    if !left.is_empty() {
        patch["metadata"]["annotations"] = left.into();
    }
    Some(patch)
}

/// An entry of somebody else without what is ours; `None` when it has none of it, and nothing inside when it has
/// nothing else.
fn without_ours(entry: &ManagedFieldsEntry) -> Option<Option<ManagedFieldsEntry>> {
    if entry.manager.as_deref() == Some(CONTROLLER) {
        return None;
    }
    let mut fields = entry.fields_v1.as_ref()?.0.clone();
    let mut taken = false;
    let annotation = |key: &str| format!("f:{key}");
    for path in [
        ["f:status", "f:loadBalancer", ""],
        ["f:status", "f:conditions", r#"k:{"type":"Assigned"}"#],
        ["f:status", "f:conditions", r#"k:{"type":"Announced"}"#],
        ["f:metadata", "f:annotations", &annotation(ALLOCATED_FROM)],
        ["f:metadata", "f:annotations", &annotation(POOL_LABELS)],
    ] {
        let path: Vec<&str> = path.into_iter().filter(|part| !part.is_empty()).collect();
        taken |= remove(&mut fields, &path);
    }
    let is_empty = fields.as_object().is_some_and(Map::is_empty);
    taken.then(|| {
        (!is_empty).then(|| ManagedFieldsEntry { fields_v1: Some(FieldsV1(fields)), ..entry.clone() })
    })
}

/// Removes what `path` leads to, and what is empty without it; says whether it was there.
fn remove(fields: &mut Value, path: &[&str]) -> bool {
    let ([first, rest @ ..], Some(map)) = (path, fields.as_object_mut()) else { return false };
    if rest.is_empty() {
        return map.remove(*first).is_some();
    }
    let Some(inner) = map.get_mut(*first) else { return false };
    let removed = remove(inner, rest);
    // "." stands for the map itself.
    if removed && inner.as_object().is_some_and(|inner| inner.keys().all(|key| key == ".")) {
        map.remove(*first);
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(entries: Value) -> ObjectMeta {
        let object = json!({"name": "web", "resourceVersion": "7", "managedFields": entries});
        serde_json::from_value(object).unwrap()
    }

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": fields, "subresource": "status"})
    }

    fn assignment() -> Assignment {
        Assignment { pools: vec!["p".into()], ..Assignment::default() }
    }

    fn metallb() -> Value {
        entry(
            "controller",
            "Update",
            json!({
            "f:metadata": {"f:annotations": {".": {}, "f:metallb.io/ip-allocated-from-pool": {}}},
            "f:status": {"f:loadBalancer": {"f:ingress": {}}}}),
        )
    }

    #[test]
    fn the_claim_of_another_manager_is_removed_and_the_rest_stays() {
        let ours = entry(CONTROLLER, "Apply", json!({"f:status": {"f:loadBalancer": {"f:ingress": {}}}}));
        assert_eq!(takeover(&meta(json!([ours])), &assignment()), None);
        let unrelated = entry(
            "kubectl",
            "Update",
            json!({"f:metadata": {"f:annotations": {"f:x": {}}},
            "f:status": {"f:conditions": {"k:{\"type\":\"Other\"}": {}}}}),
        );
        assert_eq!(takeover(&meta(json!([ours, unrelated])), &assignment()), None);
        let patch = takeover(&meta(json!([ours, unrelated, metallb()])), &assignment()).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["metadata"]["managedFields"], json!([ours, unrelated]));
        assert!(patch["metadata"].get("annotations").is_none());

        let both = entry(
            "velero",
            "Update",
            json!({
            "f:metadata": {"f:labels": {"f:a": {}}, "f:annotations": {"f:metallb.io/pool-labels": {}, "f:x": {}}},
            "f:status": {"f:conditions": {".": {}, "k:{\"type\":\"Assigned\"}": {".": {}}}}}),
        );
        let patch = takeover(&meta(json!([both])), &assignment()).unwrap();
        let left = &patch["metadata"]["managedFields"][0];
        assert_eq!(
            left["fieldsV1"],
            json!({"f:metadata": {"f:labels": {"f:a": {}}, "f:annotations": {"f:x": {}}}})
        );
        assert_eq!((&left["manager"], &left["subresource"]), (&json!("velero"), &json!("status")));
    }

    #[test]
    fn an_annotation_that_survives_its_clearing_is_removed() {
        let mut meta = meta(json!([]));
        meta.annotations = Some([(ALLOCATED_FROM.into(), "old".into())].into());
        assert_eq!(takeover(&meta, &assignment()), None);
        let patch = takeover(&meta, &Assignment::default()).unwrap();
        assert_eq!(
            patch,
            json!({"metadata": {"resourceVersion": "7", "annotations": {ALLOCATED_FROM: null}}})
        );
    }
}
