//! A hub's number as hubs write it to each other.

/// The name of a hub.
pub(crate) fn name(hub: u64) -> String {
    format!("{hub:016x}")
}

/// The hub with this [`name`].
pub(crate) fn hub_of(name: &str) -> Option<u64> {
    let is_name = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_name.then(|| u64::from_str_radix(name, 16).ok()).flatten()
}
