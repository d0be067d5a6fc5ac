//! The seal: a key per incarnation, so that no two processes ever share a nonce.

use alloc::vec::Vec;

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

/// The secret that all speakers of a cluster share.
pub type Secret = [u8; 32];

/// Random bytes that tell one run of a speaker from every other: the salt of its key.
pub type Salt = [u8; 16];

/// Length of the authentication tag behind a sealed body.
pub(super) const TAG: usize = 16;

/// Which secret sealed a frame: the first four bytes of a hash over it.
#[must_use]
pub fn key_id(secret: &Secret) -> u32 {
    let mut hash = Sha256::new();
    hash.update(b"metal beacon key id v1");
    hash.update(secret);
    first_four(&hash.finalize())
}

/// Names an incarnation in few bytes: the first four bytes of a hash over node name and salt.
#[must_use]
pub fn member_hash(node: &str, salt: &Salt) -> u32 {
    let mut hash = Sha256::new();
    hash.update(b"metal member v1");
    hash.update(salt);
    hash.update(node.as_bytes());
    first_four(&hash.finalize())
}

fn first_four(hash: &[u8]) -> u32 {
    hash.first_chunk().copied().map_or(0, u32::from_be_bytes)
}

/// Seals and opens the frames of one incarnation.
#[derive(Clone)]
pub struct Seal(ChaCha20Poly1305);

impl Seal {
    /// The seal of the incarnation `salt` of the speaker on `node`.
    #[must_use]
    pub fn derive(secret: &Secret, salt: &Salt, node: &str) -> Self {
        let mut key = [0; 32];
        // 32 bytes are one block of SHA-256; only more than 255 blocks are refused.
        let _ = Hkdf::<Sha256>::new(Some(salt), secret)
            .expand_multi_info(&[b"metal beacon v1", node.as_bytes()], &mut key);
        Self(ChaCha20Poly1305::new(&key.into()))
    }

    /// Encrypts `buffer[from..]` in place and appends the tag.
    pub(super) fn seal(&self, sequence: u64, associated: &[u8], buffer: &mut Vec<u8>, from: usize) {
        let Some(body) = buffer.get_mut(from..) else { return };
        // Only bodies of gigabytes are refused.
        if let Ok(tag) = self.0.encrypt_inout_detached(&nonce(sequence).into(), associated, body.into()) {
            buffer.extend_from_slice(&tag);
        }
    }

    /// Decrypts `body` in place; false, and nothing is to be believed, when the tag does not fit.
    pub(super) fn open(&self, sequence: u64, associated: &[u8], body: &mut [u8], tag: [u8; TAG]) -> bool {
        self.0
            .decrypt_inout_detached(&nonce(sequence).into(), associated, body.into(), &Tag::from(tag))
            .is_ok()
    }
}

impl core::fmt::Debug for Seal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seal")
    }
}

fn nonce(sequence: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&sequence.to_be_bytes());
    nonce
}
