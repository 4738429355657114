//! What the hub says to the servers that run PHP, and what it reads from them: FastCGI and HTTP as a client.

pub mod fastcgi;
pub(crate) mod head;
pub mod http1;
