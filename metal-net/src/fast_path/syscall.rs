//! `bpf(2)`, as far as it is needed. The structures are the kernel's `union bpf_attr`, each without padding.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use metal_core::view::LinkIndex;

use super::program::Instruction;

const MAP_CREATE: libc::c_int = 0;
pub(super) const MAP_LOOKUP_ELEM: libc::c_int = 1;
pub(super) const MAP_UPDATE_ELEM: libc::c_int = 2;
pub(super) const MAP_DELETE_ELEM: libc::c_int = 3;
const PROG_LOAD: libc::c_int = 5;
pub(super) const MAP_LOOKUP_BATCH: libc::c_int = 24;
const LINK_CREATE: libc::c_int = 28;

/// `BPF_PROG_TYPE_SCHED_CLS`.
const CLASSIFIER: u32 = 3;
/// `BPF_TCX_INGRESS`.
const TCX_INGRESS: u32 = 46;
/// `BPF_F_BEFORE`, of nothing: before all others.
const FIRST: u32 = 1 << 3;

/// What `bpf(2)` takes: plain numbers.
pub(super) trait Attributes {}

#[repr(C)]
pub(super) struct MapCreate {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
}
impl Attributes for MapCreate {}

#[repr(C)]
pub(super) struct MapElement {
    pub(super) map_fd: u32,
    pub(super) padding: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}
impl Attributes for MapElement {}

#[repr(C)]
pub(super) struct MapBatch {
    pub(super) in_batch: u64,
    pub(super) out_batch: u64,
    pub(super) keys: u64,
    pub(super) values: u64,
    pub(super) count: u32,
    pub(super) map_fd: u32,
    pub(super) elem_flags: u64,
    pub(super) flags: u64,
}
impl Attributes for MapBatch {}

#[repr(C)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}
impl Attributes for ProgramLoad {}

#[repr(C)]
struct LinkCreate {
    program_fd: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
    relative_fd: u32,
    padding: u32,
    expected_revision: u64,
}
impl Attributes for LinkCreate {}

/// Makes a map.
pub(super) fn create_map(attributes: &mut MapCreate) -> io::Result<OwnedFd> {
    // SAFETY: this command follows no pointers.
    let fd = unsafe { bpf(MAP_CREATE, attributes) }?;
    // SAFETY: a new descriptor that nobody else has. The kernel makes it close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has the kernel verify and compile a program.
pub(super) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let mut log = vec![0_u8; LOG];
    let mut attributes = ProgramLoad {
        program_type: CLASSIFIER,
        instruction_count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: address_of(program.as_ptr()),
        license: address_of(LICENSE.as_ptr()),
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"metal_arp\0\0\0\0\0\0\0",
    };
    // SAFETY: the program has as many instructions as is said, the licence is a C string, and there is no log.
    let loaded = unsafe { bpf(PROG_LOAD, &mut attributes) };
    let fd = loaded.or_else(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error() == Some(libc::EPERM) {
            return Err(error);
        }
        // Once more, to hear why not.
        (attributes.log_level, attributes.log_buf) = (1, address_of(log.as_mut_ptr()));
        attributes.log_size = u32::try_from(log.len()).map_err(io::Error::other)?;
        // SAFETY: as above, and the log is a live buffer of the length that is said.
        unsafe { bpf(PROG_LOAD, &mut attributes) }.map_err(|again| complaint(again, &log))
    })?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts a program at the entrance of an interface, before all others. It stays there as long as the result.
pub(super) fn attach(program: &OwnedFd, link: LinkIndex) -> io::Result<OwnedFd> {
    let mut attributes = LinkCreate {
        program_fd: number(program.as_raw_fd()),
        interface: link,
        attach_type: TCX_INGRESS,
        flags: FIRST,
        relative_fd: 0,
        padding: 0,
        expected_revision: 0,
    };
    // SAFETY: this command follows no pointers.
    let fd = unsafe { bpf(LINK_CREATE, &mut attributes) }?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The system call.
///
/// # Safety
/// Pointers in `attributes` must be good for what the command does with them.
pub(super) unsafe fn bpf<A: Attributes>(command: libc::c_int, attributes: &mut A) -> io::Result<RawFd> {
    // SAFETY: the attributes are live and have the size that is said; for their pointers the caller stands.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<A>()) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => RawFd::try_from(result).map_err(io::Error::other),
    }
}

/// A descriptor as attributes hold it.
pub(super) const fn number(fd: RawFd) -> u32 {
    fd.cast_unsigned()
}

/// A pointer as attributes hold it.
pub(super) fn address_of<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// Only programs under the GPL may call certain functions of the kernel; this one calls none of them.
const LICENSE: &std::ffi::CStr = c"Apache-2.0";
const LOG: usize = 64 << 10;

/// The verifier's last lines, if it said any.
fn complaint(error: io::Error, log: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().rev().take(4).collect();
    if lines.is_empty() {
        return error;
    }
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    io::Error::new(error.kind(), format!("{error}; the verifier says: {}", lines.join(" | ")))
}
