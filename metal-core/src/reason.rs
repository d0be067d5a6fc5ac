//! Why a Service does not get what it asks for: a closed list, each with the sentence that users read.

use alloc::{string::String, vec::Vec};
use core::{fmt, net::IpAddr};

use crate::{
    name::{ObjectKey, PoolName},
    request::{HostPart, RequestError, Wanted},
    sharing::SharingProblem,
    view::Family,
};

/// Why a Service does not get the addresses it asks for.
///
/// [`code`](Self::code) is for programs, [`Display`](fmt::Display) is the full sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Pools that may serve the Service have no free address left.
    PoolExhausted(Considered),
    /// No pool may serve the Service.
    NoMatchingPool(Considered),
    /// The requested pool does not exist.
    PoolNotFound {
        /// The requested pool.
        pool: PoolName,
    },
    /// The pool exists, but not for this Service.
    PoolNotAllowed {
        /// The pool.
        pool: PoolName,
        /// What keeps the Service out.
        obstacle: Obstacle,
    },
    /// The requested address cannot come from a pool as it is asked for.
    AddressNotInPool {
        /// What is asked for.
        wanted: Wanted,
        /// What is wrong.
        problem: AddressProblem,
    },
    /// The address belongs to another Service.
    AddressInUse {
        /// The address.
        address: IpAddr,
        /// The Service that has it.
        by: ObjectKey,
    },
    /// An address family cannot be served.
    FamilyUnavailable(FamilyProblem),
    /// The request cannot be understood.
    RequestInvalid(RequestError),
    /// The Service has no cluster IP.
    NoClusterIP,
    /// The address is kept for somebody else: by an `IPReservation`, or for its former owner.
    AddressReserved {
        /// The address.
        address: IpAddr,
        /// For whom.
        claim: Claim,
    },
    /// The address is in use by a Service with which it cannot be shared.
    SharingConflict {
        /// The address.
        address: IpAddr,
        /// A Service that has it.
        by: ObjectKey,
        /// What keeps them from sharing it.
        problem: SharingProblem,
    },
    /// The namespace has as many addresses of the pool as it may have.
    QuotaExceeded {
        /// The pool.
        pool: PoolName,
        /// The namespace.
        namespace: String,
        /// How many it may have (`maxAddressesPerNamespace`).
        limit: u32,
        /// All pools that were considered, unless one was asked for.
        considered: Considered,
    },
    /// The Service keeps addresses that its pool does not have any more.
    AddressOutsidePool {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// The pool they came from.
        pool: Option<PoolName>,
    },
    /// The Service has lost its address, which an older Service has as well.
    AddressConflict {
        /// The address.
        address: IpAddr,
        /// The Service that keeps it.
        by: ObjectKey,
    },
    /// Somebody else keeps writing the status of the Service.
    ContestedBy {
        /// The field manager.
        manager: String,
    },
}

/// For whom an address is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// For the Services of this `IPReservation`, or for nobody.
    Reservation(String),
    /// For the Service that had it, for a while (`reuseDelay`).
    Former(ObjectKey),
}

/// The pools that were considered and why each of them did not serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Considered {
    /// The first of them; those that may serve the Service come first.
    pub pools: Vec<(PoolName, Obstacle)>,
    /// How many more there are.
    pub more: usize,
}

/// Why a pool did not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// None of its addresses of a family is free for everybody.
    Full {
        /// The family.
        family: Family,
        /// How many addresses of the family it has, saturating.
        total: u128,
        /// How many of these are not in use, but reserved.
        reserved: u128,
        /// How many are held for their former owners.
        held: u128,
        /// How many are kept by the network: for nodes, routers and the like.
        network: u128,
    },
    /// It has no addresses of a family.
    NoFamily(Family),
    /// It serves only Services that ask for it.
    NotAutomatic,
    /// It is for other namespaces.
    Namespace,
    /// It is for Services with other labels.
    Labels,
    /// The namespace has all it may have of it.
    Quota {
        /// How many that is.
        limit: u32,
    },
    /// It has no address with this end.
    NoHost(HostPart),
    /// Its addresses with this end are in use, or kept for others.
    HostTaken(HostPart),
}

/// Why a requested address cannot come from a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressProblem {
    /// No pool contains it.
    NoPool,
    /// It lies in another pool than the one that has to serve.
    OtherPool {
        /// Where it lies.
        pool: PoolName,
        /// Where it should: the requested pool, or the pool of the other requested address.
        wanted: PoolName,
    },
    /// The pool leaves addresses that end in .0 and .255 alone.
    Avoided {
        /// The pool.
        pool: PoolName,
    },
    /// The pool does not give it out (`exclude`).
    Excluded {
        /// The pool.
        pool: PoolName,
    },
    /// No pool that may serve has an address with this end.
    NoHost(Considered),
}

/// Why a family cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FamilyProblem {
    /// No pool that may serve has all families.
    NoPool {
        /// The families.
        families: Vec<Family>,
        /// The pools.
        considered: Considered,
    },
    /// The requested address is of a family that the Service does not have.
    NotOfService {
        /// What is asked for.
        wanted: Wanted,
    },
    /// Both families are required, but there is a cluster IP of one only.
    OneClusterIP {
        /// That one.
        family: Family,
    },
}

impl Reason {
    /// The codes of all reasons.
    pub const CODES: [&'static str; 15] = [
        "PoolExhausted",
        "NoMatchingPool",
        "PoolNotFound",
        "PoolNotAllowed",
        "AddressNotInPool",
        "AddressInUse",
        "AddressReserved",
        "SharingConflict",
        "FamilyUnavailable",
        "RequestInvalid",
        "QuotaExceeded",
        "NoClusterIP",
        "AddressOutsidePool",
        "AddressConflict",
        "ContestedBy",
    ];

    /// The name of the reason, stable for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PoolExhausted(_) => "PoolExhausted",
            Self::NoMatchingPool(_) => "NoMatchingPool",
            Self::PoolNotFound { .. } => "PoolNotFound",
            Self::PoolNotAllowed { .. } => "PoolNotAllowed",
            Self::AddressNotInPool { .. } => "AddressNotInPool",
            Self::AddressInUse { .. } => "AddressInUse",
            Self::FamilyUnavailable(_) => "FamilyUnavailable",
            Self::RequestInvalid(_) => "RequestInvalid",
            Self::NoClusterIP => "NoClusterIP",
            Self::AddressReserved { .. } => "AddressReserved",
            Self::SharingConflict { .. } => "SharingConflict",
            Self::QuotaExceeded { .. } => "QuotaExceeded",
            Self::AddressOutsidePool { .. } => "AddressOutsidePool",
            Self::AddressConflict { .. } => "AddressConflict",
            Self::ContestedBy { .. } => "ContestedBy",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoolExhausted(considered) => write!(f, "no address is free: {considered}"),
            Self::NoMatchingPool(considered) if considered.pools.is_empty() => {
                f.write_str("there is no address pool: create an IPAddressPool")
            }
            Self::NoMatchingPool(considered) => write!(f, "no pool may serve this Service: {considered}"),
            Self::PoolNotFound { pool } => {
                write!(f, "the requested pool {pool} does not exist, or was refused")
            }
            Self::PoolNotAllowed { pool, obstacle } => {
                write!(f, "pool {pool} may not serve this Service: it {obstacle}")
            }
            Self::AddressNotInPool { wanted, problem } => {
                write!(f, "the requested address {wanted} {problem}")
            }
            Self::AddressInUse { address, by } => write!(f, "the address {address} is in use by {by}"),
            Self::FamilyUnavailable(problem) => problem.fmt(f),
            Self::RequestInvalid(error) => error.fmt(f),
            Self::NoClusterIP => {
                f.write_str("the Service has no cluster IP: a headless Service cannot be load balanced")
            }
            Self::AddressReserved { address, claim: Claim::Reservation(name) } => {
                write!(f, "the address {address} is reserved by IPReservation {name}")
            }
            Self::AddressReserved { address, claim: Claim::Former(owner) } => {
                write!(f, "the address {address} is kept for {owner}, which had it (reuseDelay)")
            }
            Self::SharingConflict { address, by, problem } => {
                write!(f, "the address {address} cannot be shared with {by}: {problem}")
            }
            Self::QuotaExceeded { pool, namespace, limit, considered } => {
                write!(
                    f,
                    "namespace {namespace} cannot have more than {limit} addresses of pool {pool} \
                     (maxAddressesPerNamespace)"
                )?;
                if considered.pools.len() > 1 { write!(f, ": {considered}") } else { Ok(()) }
            }
            Self::AddressOutsidePool { addresses, pool } => {
                for (index, address) in addresses.iter().enumerate() {
                    write!(f, "{}{address}", if index == 0 { "" } else { " and " })?;
                }
                match pool {
                    Some(pool) => write!(f, " is not in pool {pool} any more")?,
                    None => f.write_str(" is in no pool any more")?,
                }
                f.write_str(
                    "; the Service keeps it (set reassignPolicy: Immediate on the pool, or the annotation \
                     metallb.io/reassignPolicy: Immediate on the Service, to move it)",
                )
            }
            Self::AddressConflict { address, by } => {
                write!(f, "{by} has the address {address} as well and is older: this Service cannot keep it")
            }
            Self::ContestedBy { manager } => write!(
                f,
                "{manager} keeps overwriting the status of this Service: remove it, or give one of the two a \
                 loadBalancerClass of its own"
            ),
        }
    }
}

impl fmt::Display for Considered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (pool, obstacle)) in self.pools.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}pool {pool} {obstacle}")?;
        }
        if self.more > 0 {
            write!(f, "; and {} more pools", self.more)?;
        }
        Ok(())
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { family, total, reserved, held, network } => {
                write!(f, "has 0 of {total} {family} addresses free")?;
                let kept = [
                    (reserved, "reserved"),
                    (held, "held for former owners"),
                    (network, "kept for nodes, routers and strangers"),
                ];
                let mut separator = " (";
                for (count, how) in kept.into_iter().filter(|(count, _)| **count > 0) {
                    write!(f, "{separator}{count} {how}")?;
                    separator = ", ";
                }
                f.write_str(if separator == ", " { ")" } else { "" })
            }
            Self::NoFamily(family) => write!(f, "has no {family} addresses"),
            Self::NotAutomatic => f.write_str("is given out on request only (autoAssign: false)"),
            Self::Namespace => f.write_str(
                "is reserved for other namespaces (serviceAllocation.namespaces and namespaceSelectors)",
            ),
            Self::Labels => {
                f.write_str("is reserved for Services with other labels (serviceAllocation.serviceSelectors)")
            }
            Self::Quota { limit } => {
                write!(f, "gives this namespace {limit} addresses and no more (maxAddressesPerNamespace)")
            }
            Self::NoHost(host) => write!(f, "has no address that ends in {host}"),
            Self::HostTaken(host) => {
                write!(f, "has no address that ends in {host} and is neither in use nor kept for others")
            }
        }
    }
}

impl fmt::Display for AddressProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPool => f.write_str("is in no pool"),
            Self::OtherPool { pool, wanted } => {
                write!(f, "is in pool {pool}, but has to come from pool {wanted}")
            }
            Self::Avoided { pool } => {
                write!(f, "ends in .0 or .255, which pool {pool} leaves alone (avoidBuggyIPs)")
            }
            Self::Excluded { pool } => write!(f, "is excluded from pool {pool} (exclude)"),
            Self::NoHost(considered) => write!(f, "is the end of no address: {considered}"),
        }
    }
}

impl fmt::Display for FamilyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPool { families, considered } => {
                f.write_str("no pool can serve ")?;
                for (index, family) in families.iter().enumerate() {
                    write!(f, "{}{family}", if index == 0 { "" } else { " and " })?;
                }
                write!(f, ": {considered}")
            }
            Self::NotOfService { wanted } => {
                let family = wanted.family();
                write!(
                    f,
                    "the requested address {wanted} is {family}, but the Service has no {family} cluster IP"
                )
            }
            Self::OneClusterIP { family } => {
                write!(f, "the Service requires both families, but has a cluster IP of {family} only")
            }
        }
    }
}
