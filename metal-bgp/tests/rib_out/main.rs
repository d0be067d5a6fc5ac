//! What routers that read the messages come to know.

mod behaviour;
mod history;
mod support;

use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn routers_hold_what_is_wanted_whatever_happens(bytes in vec(any::<u8>(), 0..300)) {
        history::play(&bytes);
    }
}
