//! Apache's own record of the running request, by the functions and structures that Apache 2.4 offers to its modules.
//!
//! Not by PHP's functions, which `disable_functions` can take away, nor by request variables, which other modules change
//! (mod_remoteip: `REMOTE_ADDR`; `ServerName https://…`: `REQUEST_SCHEME`).

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use super::descriptor::Descriptor;
use super::zend;

/// The start of `php_struct` (`sapi/apache2handler/php_apache.h`), the same in PHP 8.1–8.6.
#[repr(C)]
struct ServerContext {
    state: c_int,
    request: *const RequestRecord,
}

/// The start of `request_rec` (`include/httpd.h`), the same in all of Apache 2.4.
#[repr(C)]
struct RequestRecord {
    pool: *const c_void,
    connection: *const ConnectionRecord,
    server: *const c_void,
    next: *const Self,
    prev: *const Self,
    main: *const Self,
    the_request: *const c_char,
    assbackwards: c_int,
    proxyreq: c_int,
    header_only: c_int,
    proto_num: c_int,
    protocol: *const c_char,
    hostname: *const c_char,
    request_time: i64,
    status_line: *const c_char,
    status: c_int,
    method_number: c_int,
    method: *const c_char,
    allowed: i64,
    allowed_xmethods: *const c_void,
    allowed_methods: *const c_void,
    sent_bodyct: i64,
    bytes_sent: i64,
    mtime: i64,
    range: *const c_char,
    clength: i64,
    chunked: c_int,
    read_body: c_int,
    read_chunked: c_int,
    expecting_100: c_uint,
    kept_body: *const c_void,
    body_table: *const c_void,
    remaining: i64,
    read_length: i64,
    headers_in: *const AprTable,
    headers_out: *const AprTable,
    err_headers_out: *const AprTable,
    subprocess_env: *const AprTable,
}

/// The start of `conn_rec` (`include/httpd.h`), the same in all of Apache 2.4.
#[repr(C)]
struct ConnectionRecord {
    pool: *const c_void,
    base_server: *const c_void,
    vhost_lookup_data: *const c_void,
    local_addr: *const c_void,
    client_addr: *const c_void,
    client_ip: *const c_char,
    remote_host: *const c_char,
    remote_logname: *const c_char,
    local_ip: *const c_char,
    local_host: *const c_char,
    id: std::ffi::c_long,
    conn_config: *const c_void,
    notes: *const AprTable,
    input_filters: *const Filter,
    output_filters: *const Filter,
}

/// The start of `ap_filter_t` (`include/util_filter.h`), the same in all of Apache 2.4.
#[repr(C)]
struct Filter {
    /// `ap_filter_rec_t`, which starts with the name.
    record: *const *const c_char,
    context: *const c_void,
    next: *const Self,
}

/// `apr_table_t`, which only APR's functions look into.
#[repr(C)]
struct AprTable {
    opaque: [u8; 0],
}

/// The start of `ap_version_t`.
#[repr(C)]
#[derive(Default)]
struct Version {
    major: c_int,
    minor: c_int,
    patch: c_int,
    addition: usize,
}

/// Functions of Apache and APR. `libphp` is linked to them, but this extension is not: it also serves other SAPIs.
struct Functions {
    connection_socket: unsafe extern "C" fn(*const ConnectionRecord) -> *const c_void,
    descriptor: unsafe extern "C" fn(*mut c_int, *const c_void) -> c_int,
    get: unsafe extern "C" fn(*const AprTable, *const c_char) -> *const c_char,
    set: unsafe extern "C" fn(*const AprTable, *const c_char, *const c_char),
}

/// Looks up a function of the running program.
///
/// # Safety
/// `F` is the type of the function of this name.
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name is a C string. A function pointer has the address's size, and the caller vouches for its type.
    unsafe {
        let address = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
        if address.is_null() { None } else { Some(std::mem::transmute_copy(&address)) }
    }
}

impl Functions {
    /// `None` if this is not Apache 2.4.
    fn of_process() -> Option<&'static Self> {
        static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
        // SAFETY: the types are those in Apache's and APR's public headers.
        let find = || unsafe {
            let revision: unsafe extern "C" fn(*mut Version) = function(c"ap_get_server_revision")?;
            let mut version = Version::default();
            revision(&raw mut version);
            if (version.major, version.minor) != (2, 4) {
                return None;
            }
            Some(Functions {
                connection_socket: function(c"ap_get_conn_socket")?,
                descriptor: function(c"apr_os_sock_get")?,
                get: function(c"apr_table_get")?,
                set: function(c"apr_table_set")?,
            })
        };
        FUNCTIONS.get_or_init(find).as_ref()
    }
}

/// The current request.
#[derive(Clone, Copy)]
pub struct Record<'r> {
    request: &'r RequestRecord,
    connection: &'r ConnectionRecord,
    functions: &'static Functions,
}

/// Looks at the record of the running request. `None` if this is not Apache 2.4, or the record differs from what PHP has copied
/// of it.
pub fn with_record<R>(look: impl FnOnce(Record<'_>) -> R) -> Option<R> {
    if zend::sapi_name() != c"apache2handler" {
        return None;
    }
    // SAFETY: no PHP code runs until `look` has returned, which can't keep anything of the record.
    unsafe { Record::current() }.map(look)
}

impl<'r> Record<'r> {
    /// The record.
    ///
    /// # Safety
    /// Apache's module of PHP runs a request, and does so as long as the result is used.
    unsafe fn current() -> Option<Self> {
        let functions = Functions::of_process()?;
        let (context, method) = zend::sapi_globals(|globals| {
            (globals.server_context.cast::<ServerContext>(), globals.request_info.request_method)
        });
        // SAFETY: under the SAPI `apache2handler` the server context is a `php_struct`. It and the records of Apache live
        // until the request ends.
        unsafe {
            let request = context.as_ref()?.request.as_ref()?;
            // 0.9 to 9.9, in Apache's numbers.
            let is_version = (9..=9009).contains(&request.proto_num);
            let same = zend::text(method).is_some() && zend::text(request.method) == zend::text(method);
            if !is_version || !same {
                return None;
            }
            Some(Self { request, connection: request.connection.as_ref()?, functions })
        }
    }

    /// The socket of the connection, on whatever address other modules say that the client is.
    pub fn descriptor(self) -> Option<Descriptor> {
        let mut descriptor = -1;
        // SAFETY: the record's own connection, and its socket.
        let status = unsafe {
            let socket = (self.functions.connection_socket)(self.connection);
            if socket.is_null() {
                return None;
            }
            (self.functions.descriptor)(&raw mut descriptor, socket)
        };
        Descriptor::of_sapi(descriptor).filter(|_| status == 0)
    }

    /// The protocol that the client named, for example `HTTP/1.1`.
    pub fn protocol(self) -> &'r str {
        // SAFETY: the record's own text, which lives as long as the request.
        unsafe { zend::text(self.request.protocol) }.unwrap_or_default()
    }

    /// Whether the script's output is a part of another response (`virtual()`, server-side includes).
    pub fn is_part(self) -> bool {
        !self.request.main.is_null()
    }

    /// The names of the filters between the response and the socket, such as that of TLS.
    pub fn connection_filters(self) -> Vec<&'r str> {
        let mut names = Vec::new();
        let mut filter = self.connection.output_filters;
        // SAFETY: a chain of records that ends in null. Each lives as long as the connection.
        while let Some(current) = unsafe { filter.as_ref() } {
            // SAFETY: the filter's kind, which starts with its name; both live as long as the process.
            let name = unsafe { current.record.as_ref().and_then(|name| zend::text(*name)) };
            names.push(name.unwrap_or("?"));
            filter = current.next;
        }
        names
    }

    /// A header of the response, once Apache has completed them.
    pub fn response_header(self, name: &CStr) -> Option<&'r str> {
        // SAFETY: a table of the record. The value lives as long as the request.
        unsafe { zend::text((self.functions.get)(self.request.headers_out, name.as_ptr())) }
    }

    /// Sets a variable that Apache's filters read, as the directive `SetEnv` does.
    pub fn set_variable(self, name: &CStr, value: &CStr) {
        // SAFETY: a table of the record, which copies both.
        unsafe { (self.functions.set)(self.request.subprocess_env, name.as_ptr(), value.as_ptr()) };
    }
}
