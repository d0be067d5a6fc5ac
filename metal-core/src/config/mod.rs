//! What the user configured: each object judged on its own, the valid ones in force.

mod object;

pub use object::{
    L2AdvertisementSpec, LegacyPool, Object, ObjectRef, PoolSpec, PreferredNode, Refusal,
    ServiceAllocationSpec, Spec,
};
