//! Secrets with a password. Nothing here ever prints what they hold.

use std::fmt;

use k8s_openapi::ByteString;
use metal_core::config::bgp;

use super::{Deserialize, ObjectMeta, Value, trimmed};

/// The type of Secrets with a password, as for MetalLB.
const TYPE: &str = "kubernetes.io/basic-auth";
/// The key of the password.
const KEY: &str = "password";
/// What TCP MD5 takes (`TCP_MD5SIG_MAXKEYLEN`).
const LONGEST: usize = 80;

/// A Secret.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secret {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(rename = "type", default)]
    type_: Value,
    /// Values rather than types, so that no error about one of them quotes it.
    #[serde(default)]
    data: Value,
    /// Only in manifests: an API server turns it into `data`.
    #[serde(default)]
    string_data: Value,
}

impl Secret {
    /// The password that it holds, or why it holds none.
    pub(crate) fn password(&self) -> Result<bgp::Secret, String> {
        match self.type_.as_str() {
            Some(TYPE) => {}
            other => {
                let other = other.unwrap_or("Opaque");
                return Err(format!("its type is {other}: make it anew with type {TYPE}"));
            }
        }
        let bytes = match (self.string_data.get(KEY), self.data.get(KEY)) {
            (Some(Value::String(text)), _) => text.clone().into_bytes(),
            (Some(_), _) => return Err(format!("stringData.{KEY} is no text: put it in quotes")),
            (None, Some(encoded)) => match ByteString::deserialize(encoded) {
                Ok(bytes) => bytes.0,
                Err(_) => return Err(format!("data.{KEY} is not in Base64")),
            },
            (None, None) => return Err(format!("it has no key {KEY}")),
        };
        let text = String::from_utf8(bytes).map_err(|_| format!("its {KEY} is not UTF-8 text"))?;
        match text.len() {
            0 => Err(format!("its {KEY} is empty")),
            1..=LONGEST => Ok(text.as_str().into()),
            length => Err(format!("its {KEY} has {length} bytes; TCP MD5 takes at most {LONGEST}")),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(type_: &str, more: Value) -> Secret {
        let mut object = json!({"metadata": {"name": "tor"}, "type": type_});
        for (name, value) in more.as_object().unwrap() {
            object[name] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    fn password(more: Value) -> Result<String, String> {
        secret(TYPE, more).password().map(|password| password.expose().into())
    }

    #[test]
    fn the_password_is_read_as_an_api_server_would() {
        assert_eq!(password(json!({"data": {"password": "aHVudGVyMg=="}})), Ok("hunter2".into()));
        assert_eq!(password(json!({"stringData": {"password": "hunter2"}})), Ok("hunter2".into()));
        let both = json!({"data": {"password": "b2xk"}, "stringData": {"password": "new"}});
        assert_eq!(password(both), Ok("new".into()));
    }

    #[test]
    fn what_holds_no_password_says_why_without_quoting_it() {
        let long = "hunter2".repeat(12);
        for (more, part) in [
            (json!({}), "no key password"),
            (json!({"data": null}), "no key password"),
            (json!({"data": {"username": "hunter2"}}), "no key password"),
            (json!({"data": {"password": "hunter2!"}}), "Base64"),
            (json!({"data": {"password": "//79"}}), "UTF-8"),
            (json!({"data": {"password": ""}}), "empty"),
            (json!({"stringData": {"password": 7}}), "quotes"),
            (json!({"stringData": {"password": long}}), "84 bytes"),
        ] {
            let reason = password(more).unwrap_err();
            assert!(reason.contains(part) && !reason.contains("hunter"), "{reason}");
        }
        let opaque = secret("Opaque", json!({"stringData": {"password": "hunter2"}}));
        let reason = opaque.password().unwrap_err();
        assert!(reason.contains("Opaque") && reason.contains(TYPE), "{reason}");
        assert!(!format!("{opaque:?}").contains("hunter2"));
    }
}
