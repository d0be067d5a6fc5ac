//! The smallest allocator there is.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    ptr::null_mut,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Far more than the program uses.
const SIZE: usize = 1 << 20;

/// Hands out a static from front to back and never takes anything back.
#[repr(C, align(16))]
pub struct Bump {
    memory: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

impl Bump {
    /// Nothing is handed out.
    pub const fn new() -> Self {
        Self { memory: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) }
    }
}

// SAFETY: each byte of `memory` is handed out at most once, whichever thread asks: `used` only grows, and by
// atomic updates. `Bump` itself never looks into it.
unsafe impl Sync for Bump {}

// SAFETY: a block lies inside `memory`, overlaps no other, and starts at a multiple of its alignment, because
// its address is rounded up to one. Nothing here panics.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.memory.get().cast::<u8>();
        let place = |used: usize| {
            let start = (base.addr() + used).checked_next_multiple_of(layout.align())? - base.addr();
            let end = start.checked_add(layout.size())?;
            (end <= SIZE).then_some((start, end))
        };
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| place(used).map(|(_, end)| end));
        match taken.ok().and_then(place) {
            // SAFETY: `place` has checked that the block ends inside `memory`.
            Some((start, _)) => unsafe { base.add(start) },
            None => null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
