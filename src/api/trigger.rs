//! `SseTrigger`: sends notifications, without waiting and without failing.

use ext_php_rs::flags::ClassFlags;
use ext_php_rs::types::Zval;
use ext_php_rs::{php_class, php_impl};
use sse_protocol::topic;
use sse_protocol::wire::Request;

use crate::spawn;

/// See stubs/sse.stub.php.
#[php_class]
#[php(flags = ClassFlags::Final)]
#[derive(Debug)]
pub struct SseTrigger;

#[php_impl]
impl SseTrigger {
    /// Private: there are no instances.
    #[php(vis = "private")]
    pub fn __construct() -> Self {
        Self
    }

    /// See stubs/sse.stub.php.
    pub fn push(topics: &[&Zval]) -> bool {
        let topics: Option<Vec<&str>> = topics.iter().map(|value| value.dereference().str()).collect();
        let Some(topics) = topics.filter(|topics| !topics.is_empty()) else { return false };
        topics.iter().all(|topic| topic::check_topic(topic).is_ok()) && spawn::post(&Request::Trigger { topics })
    }
}
