//! The two maps: what is answered, and until when.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    ptr::{self, NonNull},
    sync::atomic::AtomicU64,
};

use super::{
    FastPathError,
    syscall::{
        MAP_DELETE_ELEM, MAP_LOOKUP_BATCH, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MapBatch, MapCreate, MapElement,
        address_of, bpf, create_map, number,
    },
};

/// `BPF_MAP_TYPE_HASH` and `BPF_MAP_TYPE_ARRAY`.
const HASH: u32 = 1;
const ARRAY: u32 = 2;
/// `BPF_F_NO_PREALLOC`: memory for what is in it only.
const NO_PREALLOC: u32 = 1;
/// `BPF_F_MMAPABLE`.
const MMAPABLE: u32 = 1 << 10;

/// More addresses than this on one link are answered by the packet socket.
const CAPACITY: u32 = 1 << 17;

/// How an address is answered for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Answer {
    pub(super) mac: [u8; 6],
    pub(super) padding: [u8; 2],
    /// How often it has been.
    pub(super) count: u64,
}

/// The addresses that are answered for. A key is the address as it is on the wire.
#[derive(Debug)]
pub(super) struct Answers(OwnedFd);

impl Answers {
    pub(super) fn new() -> io::Result<Self> {
        let mut attributes = MapCreate {
            map_type: HASH,
            key_size: length_of::<[u8; 4]>(),
            value_size: length_of::<Answer>(),
            max_entries: CAPACITY,
            map_flags: NO_PREALLOC,
        };
        create_map(&mut attributes).map(Self)
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(super) fn get(&self, address: Ipv4Addr) -> io::Result<Option<Answer>> {
        let (key, mut answer) = (address.octets(), Answer::default());
        let mut attributes = self.element(&key, (&raw mut answer).cast_const());
        // SAFETY: a key of four bytes to read and a value of the map's size to write.
        found(unsafe { bpf(MAP_LOOKUP_ELEM, &mut attributes) }).map(|found| found.then_some(answer))
    }

    pub(super) fn set(&self, address: Ipv4Addr, answer: Answer) -> io::Result<()> {
        let key = address.octets();
        let mut attributes = self.element(&key, &raw const answer);
        // SAFETY: a key of four bytes and a value of the map's size, both to read.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut attributes) }.map(drop)
    }

    pub(super) fn remove(&self, address: Ipv4Addr) -> io::Result<()> {
        let key = address.octets();
        let mut attributes = self.element(&key, ptr::null());
        // SAFETY: a key of four bytes to read; there is no value.
        found(unsafe { bpf(MAP_DELETE_ELEM, &mut attributes) }).map(drop)
    }

    /// All of them, a thousand at a time.
    pub(super) fn all(&self) -> io::Result<Vec<(Ipv4Addr, Answer)>> {
        let mut all = Vec::new();
        let (mut keys, mut answers) = (vec![[0_u8; 4]; BATCH], vec![Answer::default(); BATCH]);
        // Where the kernel goes on; of a hash it is four bytes.
        let (mut from, mut next) = (None, 0_u64);
        loop {
            let mut attributes = MapBatch {
                in_batch: from.as_ref().map_or(0, |from: &u64| address_of(from)),
                out_batch: address_of((&raw mut next).cast_const()),
                keys: address_of(keys.as_mut_ptr().cast_const()),
                values: address_of(answers.as_mut_ptr().cast_const()),
                count: u32::try_from(keys.len()).map_err(io::Error::other)?,
                map_fd: number(self.fd()),
                elem_flags: 0,
                flags: 0,
            };
            // SAFETY: room for as many keys and values as is said, and eight bytes for either place to go on from.
            let done = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attributes) };
            let is_last = match done {
                Ok(_) => false,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
                Err(error)
                    if error.raw_os_error() == Some(libc::ENOSPC) && keys.len() < CAPACITY as usize =>
                {
                    // More in one bucket than there is room for.
                    keys.resize(keys.len() * 2, [0; 4]);
                    answers.resize(keys.len(), Answer::default());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let count = usize::try_from(attributes.count).map_err(io::Error::other)?;
            let pairs = keys.iter().zip(&answers).take(count);
            all.extend(pairs.map(|(key, answer)| (Ipv4Addr::from_octets(*key), *answer)));
            if is_last {
                return Ok(all);
            }
            from = Some(next);
        }
    }

    fn element(&self, key: &[u8; 4], value: *const Answer) -> MapElement {
        MapElement {
            map_fd: number(self.fd()),
            padding: 0,
            key: address_of(ptr::from_ref(key)),
            value: if value.is_null() { 0 } else { address_of(value) },
            flags: 0,
        }
    }
}

const BATCH: usize = 1_024;

/// Whether the map has such a key.
fn found(result: io::Result<RawFd>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A number that this process writes and programs read, without a system call.
#[derive(Debug)]
pub(crate) struct SharedCell {
    map: OwnedFd,
    number: NonNull<AtomicU64>,
}

// SAFETY: the mapping belongs to this value, and all that is done with it is atomic.
unsafe impl Send for SharedCell {}
// SAFETY: as above.
unsafe impl Sync for SharedCell {}

impl SharedCell {
    /// Zero.
    pub(crate) fn new() -> Result<Self, FastPathError> {
        Self::map().map_err(|source| FastPathError::new("share memory with", source))
    }

    fn map() -> io::Result<Self> {
        let size = length_of::<u64>();
        let mut attributes =
            MapCreate { map_type: ARRAY, key_size: 4, value_size: size, max_entries: 1, map_flags: MMAPABLE };
        let map = create_map(&mut attributes)?;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping of the map's first page, at an address of the kernel's choice.
        let base = unsafe { libc::mmap(ptr::null_mut(), CELL, access, flags, map.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let number = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("a cell at address 0"))?;
        Ok(Self { map, number })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.map.as_raw_fd()
    }

    pub(crate) const fn number(&self) -> &AtomicU64 {
        // SAFETY: the beginning of a page that stays mapped as long as `self`: eight bytes, aligned, and initialised by the
        // kernel. Others only read it, whole.
        unsafe { self.number.as_ref() }
    }
}

impl Drop for SharedCell {
    fn drop(&mut self) {
        // SAFETY: the mapping of `map`, to which no reference is left.
        unsafe { libc::munmap(self.number.as_ptr().cast(), CELL) };
    }
}

/// The kernel maps whole pages, also where fewer bytes are asked for.
const CELL: usize = size_of::<u64>();

const fn length_of<T>() -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "keys and values are a few bytes")]
    let length = size_of::<T>() as u32;
    length
}
