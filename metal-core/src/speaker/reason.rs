//! Why nothing is announced: a closed list, each with the sentence that users read.

use core::fmt;

/// Why an address is not announced, a link does not take part, or this node serves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No L2Advertisement applies.
    NoAdvertisement,
    /// No endpoint takes traffic.
    NoReadyEndpoints,
    /// Traffic policy Local, and no node in line has an endpoint that takes traffic.
    NoLocalEndpoints,
    /// The Services that share the address have no node in common.
    NoCommonNode,
    /// No node on this LAN matches the advertisements.
    NoEligibleNode,
    /// The advertisements name interfaces, and no node in line has one on this LAN.
    InterfaceMissing,
    /// The network of every node in line is reported as unavailable.
    NetworkUnavailable,
    /// Every node in line is excluded by label; it is announced all the same.
    AllNodesExcluded,
    /// No link of this node takes part.
    NoLink,
    /// There is no secret to seal beacons with.
    NoBeaconKey,
    /// Not everything has been listed yet.
    NotSynced,
    /// There is no Node object for this node.
    NodeUnknown,
    /// The link is down.
    LinkDown,
    /// The link has no carrier.
    LinkNoCarrier,
    /// The link is a port of a bridge, a bond or a VRF.
    LinkEnslaved,
    /// The link does not do ARP over broadcast.
    LinkNotBroadcast,
    /// The link's name is one of those of containers and tunnels.
    LinkExcluded,
    /// A host that is no member has the address.
    AddressConflict,
    /// The node itself answers for the address, beside the speakers.
    HostAnswers,
    /// The address lies in no subnet of the links; it is announced all the same.
    AddressOutsideSubnets,
    /// The advertisements that apply do not agree on how; it is announced all the same.
    AdvertisementsDisagree,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 21] = [
        Self::NoAdvertisement,
        Self::NoReadyEndpoints,
        Self::NoLocalEndpoints,
        Self::NoCommonNode,
        Self::NoEligibleNode,
        Self::InterfaceMissing,
        Self::NetworkUnavailable,
        Self::AllNodesExcluded,
        Self::NoLink,
        Self::NoBeaconKey,
        Self::NotSynced,
        Self::NodeUnknown,
        Self::LinkDown,
        Self::LinkNoCarrier,
        Self::LinkEnslaved,
        Self::LinkNotBroadcast,
        Self::LinkExcluded,
        Self::AddressConflict,
        Self::HostAnswers,
        Self::AddressOutsideSubnets,
        Self::AdvertisementsDisagree,
    ];

    /// The reason with this [`code`](Self::code).
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The name of the reason, stable for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoAdvertisement => "NoAdvertisement",
            Self::NoReadyEndpoints => "NoReadyEndpoints",
            Self::NoLocalEndpoints => "NoLocalEndpoints",
            Self::NoCommonNode => "NoCommonNode",
            Self::NoEligibleNode => "NoEligibleNode",
            Self::InterfaceMissing => "InterfaceMissing",
            Self::NetworkUnavailable => "NetworkUnavailable",
            Self::AllNodesExcluded => "AllNodesExcluded",
            Self::NoLink => "NoLink",
            Self::NoBeaconKey => "NoBeaconKey",
            Self::NotSynced => "NotSynced",
            Self::NodeUnknown => "NodeUnknown",
            Self::LinkDown => "LinkDown",
            Self::LinkNoCarrier => "LinkNoCarrier",
            Self::LinkEnslaved => "LinkEnslaved",
            Self::LinkNotBroadcast => "LinkNotBroadcast",
            Self::LinkExcluded => "LinkExcluded",
            Self::AddressConflict => "AddressConflict",
            Self::HostAnswers => "HostAnswers",
            Self::AddressOutsideSubnets => "AddressOutsideSubnets",
            Self::AdvertisementsDisagree => "AdvertisementsDisagree",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAdvertisement => {
                "no L2Advertisement applies: create one that selects the address pool and the Service"
            }
            Self::NoReadyEndpoints => "no endpoint of the Service takes traffic",
            Self::NoLocalEndpoints => {
                "externalTrafficPolicy is Local, and no node in line has an endpoint that takes traffic"
            }
            Self::NoCommonNode => "the Services that share the address have no node in common that may serve all",
            Self::NoEligibleNode => {
                "no node with a running speaker on this LAN matches the nodeSelectors of the L2Advertisement"
            }
            Self::InterfaceMissing => {
                "no node in line has an interface on this LAN that the L2Advertisement names in spec.interfaces"
            }
            Self::NetworkUnavailable => "every node in line has the condition NetworkUnavailable",
            Self::AllNodesExcluded => {
                "every node in line has the label node.kubernetes.io/exclude-from-external-load-balancers: \
                 announced from one of them all the same"
            }
            Self::NoLink => {
                "no network interface of this node takes part: it needs one that is up, has carrier, and is neither \
                 a port of a bridge or bond nor a container's"
            }
            Self::NoBeaconKey => {
                "there is no secret to seal beacons with yet: the controller creates it, check that it runs"
            }
            Self::NotSynced => "the Services and the configuration have not been listed completely yet",
            Self::NodeUnknown => {
                "there is no Node object of this name: check --node; labels and conditions count as unset"
            }
            Self::LinkDown => "it is down",
            Self::LinkNoCarrier => "it has no carrier",
            Self::LinkEnslaved => "it is a port of a bridge, bond or VRF",
            Self::LinkNotBroadcast => "it does not do ARP over broadcast",
            Self::LinkExcluded => "its name is one of those of containers and tunnels",
            Self::AddressConflict => "a host that is no node of this cluster has the address",
            Self::HostAnswers => "a node itself answers for the address, whoever announces it",
            Self::AddressOutsideSubnets => {
                "the address is in no subnet of the interfaces that it is announced on: hosts there reach it only if \
                 they have a route to it; announced all the same"
            }
            Self::AdvertisementsDisagree => "the L2Advertisements that apply do not agree; announced all the same",
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own_and_a_sentence() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert!(!reason.to_string().is_empty());
        }
        assert_eq!(Reason::from_code("Nonsense"), None);
    }
}
