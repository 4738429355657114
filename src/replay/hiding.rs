//! Hides a replay's token from the page: no dump of request variables and no error report may contain it.
//!
//! FPM and Apache expose the memory of a variable, and every access reads it there, so the token is overwritten
//! ([`overwrite`](crate::php::variables::overwrite)). Copies made earlier are removed. `php -S` exposes headers only through its
//! own functions and `$_SERVER`.

use ext_php_rs::types::ZendHashTable;

use crate::php::sapi_functions;
use crate::replay;

/// The header's name, as the hub sends it and in lower case.
const HEADER: [&str; 2] = ["Sse-Render-Token", "sse-render-token"];

/// Has the functions of `php -S` return headers without the token.
pub fn startup() {
    sapi_functions::filter_headers(without_token);
}

fn without_token(headers: &mut ZendHashTable) {
    if replay::is_replay() {
        HEADER.iter().for_each(|name| drop(headers.remove(*name)));
    }
}
