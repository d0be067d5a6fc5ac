//! The resources of BGP, whose `spec` is judged later.

use super::{Deserialize, NamespaceResourceScope, ObjectMeta, Resource, Value, trimmed};
use std::borrow::Cow;

macro_rules! custom {
    ($($(#[$doc:meta])* $type:ident $version:literal $kind:literal $plural:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        pub(crate) struct $type {
            #[serde(deserialize_with = "trimmed")]
            pub(crate) metadata: ObjectMeta,
            #[serde(default)]
            pub(crate) spec: Value,
            #[serde(default)]
            pub(crate) status: Value,
        }

        resource!($type, NamespaceResourceScope, "metallb.io", $version, $kind, $plural);
    )*};
}

custom! {
    /// A BGPPeer. The API server turns what was written in v1beta1 into v1beta2.
    BgpPeer "v1beta2" "BGPPeer" "bgppeers";
    /// A BGPAdvertisement.
    BgpAdvertisement "v1beta1" "BGPAdvertisement" "bgpadvertisements";
    /// A Community.
    Community "v1beta1" "Community" "communities";
    /// A BFDProfile.
    BfdProfile "v1beta1" "BFDProfile" "bfdprofiles";
}
