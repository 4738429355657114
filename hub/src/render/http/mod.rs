//! FastCGI and HTTP as clients of the PHP servers: encodes requests and parses responses.

pub mod fastcgi;
pub(crate) mod head;
pub mod http1;
