//! Lists that are read where they lie.

use alloc::vec::Vec;
use core::{fmt, marker::PhantomData};

/// A list of fixed-size items: bytes off the wire that are read when asked for, or values of one's own.
///
/// Two lists are equal when their items are.
#[derive(Clone)]
pub enum List<'a, T> {
    /// Whole items as they go over the wire.
    Wire(Wire<'a, T>),
    /// Values.
    Values(Vec<T>),
}

/// Bytes that are a whole number of items.
pub struct Wire<'a, T> {
    bytes: &'a [u8],
    items: PhantomData<T>,
}

/// Something that takes the same number of bytes each time.
pub trait Item: Copy + Sized {
    /// How many.
    const LEN: usize;
    /// Reads it; `bytes` is [`LEN`](Self::LEN) long.
    fn read(bytes: &[u8]) -> Self;
    /// Writes it; `bytes` is [`LEN`](Self::LEN) long.
    fn write(self, bytes: &mut [u8]);

    /// Writes several, one behind the other.
    fn write_all(items: &[Self], bytes: &mut [u8]) {
        for (item, bytes) in items.iter().zip(bytes.chunks_exact_mut(Self::LEN)) {
            item.write(bytes);
        }
    }
}

impl<'a, T: Item> List<'a, T> {
    /// The items that these bytes are; `None` when the last one is cut off.
    #[must_use]
    pub fn from_wire(bytes: &'a [u8]) -> Option<Self> {
        bytes.len().is_multiple_of(T::LEN).then_some(Self::Wire(Wire { bytes, items: PhantomData }))
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Wire(wire) => wire.bytes.len() / T::LEN,
            Self::Values(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items in their order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let (wire, values): (&[u8], &[T]) = match self {
            Self::Wire(wire) => (wire.bytes, &[]),
            Self::Values(values) => (&[], values),
        };
        wire.chunks_exact(T::LEN).map(T::read).chain(values.iter().copied())
    }

    /// The same list without a borrow.
    #[must_use]
    pub fn into_owned(self) -> List<'static, T> {
        match self {
            Self::Wire(_) => List::Values(self.iter().collect()),
            Self::Values(values) => List::Values(values),
        }
    }
}

impl<T> From<Vec<T>> for List<'_, T> {
    fn from(values: Vec<T>) -> Self {
        Self::Values(values)
    }
}

impl<T> Clone for Wire<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Wire<'_, T> {}

impl<T: Item + PartialEq> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Item + Eq> Eq for List<'_, T> {}

impl<T: Item + fmt::Debug> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
