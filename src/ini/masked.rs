//! Settings with a secret, as PHP may show them.

use sse_hub::masked_bus_address;

use crate::php::setting::Masked;

/// `sse.bus` without its password.
pub struct MaskedBus;

impl Masked for MaskedBus {
    fn masked(value: &[u8]) -> String {
        masked_bus_address(&String::from_utf8_lossy(value))
    }
}

/// `sse.udp_key`: that it is set, but neither the key nor its length.
pub struct MaskedKey;

impl Masked for MaskedKey {
    fn masked(_: &[u8]) -> String {
        "***".into()
    }
}
