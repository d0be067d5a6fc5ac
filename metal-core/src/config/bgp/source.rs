//! Where something was written.

use alloc::{format, string::String, sync::Arc};
use core::fmt;

use crate::config::ObjectRef;

/// Where something was written: an object of its own, or a part of a ConfigMap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The object.
    pub object: ObjectRef,
    /// The part of a ConfigMap, such as `peers/10.0.0.1`; empty for an object of its own.
    pub part: Arc<str>,
}

impl Source {
    /// An object of its own.
    pub(super) fn whole(object: &ObjectRef) -> Self {
        Self { object: object.clone(), part: "".into() }
    }

    /// A part of a ConfigMap.
    pub(super) fn part(object: &ObjectRef, part: &str) -> Self {
        Self { object: object.clone(), part: part.into() }
    }

    /// Whether it is a part of a ConfigMap.
    pub(super) fn is_part(&self) -> bool {
        !self.part.is_empty()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object.fmt(f)?;
        if self.part.is_empty() { Ok(()) } else { write!(f, " ({})", self.part) }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Leads to the fields of a spec, by the names that its object has for them.
#[derive(Clone, Debug)]
pub(super) struct Path {
    prefix: String,
    kebab: bool,
}

impl Path {
    /// The fields of a custom resource.
    pub(super) fn spec() -> Self {
        Self { prefix: "spec.".into(), kebab: false }
    }

    /// The fields of a part of a ConfigMap.
    pub(super) fn legacy(part: &str) -> Self {
        Self { prefix: format!("{part}."), kebab: true }
    }

    /// The field that a custom resource calls `name`.
    pub(super) fn of(&self, name: &str) -> String {
        let Self { prefix, kebab } = self;
        match name {
            _ if !kebab => format!("{prefix}{name}"),
            "localPref" => format!("{prefix}localpref"),
            "ebgpMultiHop" => format!("{prefix}ebgp-multihop"),
            _ => {
                let mut field = prefix.clone();
                let mut after_small = false;
                for letter in name.chars() {
                    if after_small && letter.is_ascii_uppercase() {
                        field.push('-');
                    }
                    after_small = letter.is_ascii_lowercase();
                    field.push(letter.to_ascii_lowercase());
                }
                field
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_called_what_their_object_calls_them() {
        assert_eq!(Path::spec().of("myASN"), "spec.myASN");
        let legacy = Path::legacy("peers[1]");
        for (name, written) in [
            ("myASN", "peers[1].my-asn"),
            ("routerID", "peers[1].router-id"),
            ("ebgpMultiHop", "peers[1].ebgp-multihop"),
            ("aggregationLengthV6", "peers[1].aggregation-length-v6"),
            ("localPref", "peers[1].localpref"),
            ("minimumTtl", "peers[1].minimum-ttl"),
        ] {
            assert_eq!(legacy.of(name), written);
        }
    }
}
