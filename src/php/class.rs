//! Classes of this extension that have no Rust data, and of the engine.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi;
use ext_php_rs::types::{ZendObject, ZendStr, Zval};
use ext_php_rs::zend::{ClassEntry, ZendType};

unsafe extern "C" {
    /// `ext/spl/spl_exceptions.h`, the same since 5.3: set when SPL starts, before any shared extension.
    static spl_ce_RuntimeException: *mut ffi::zend_class_entry;
}

/// PHP's own `RuntimeException`.
pub fn runtime_exception() -> &'static ClassEntry {
    // SAFETY: SPL is part of every PHP and starts before this extension.
    unsafe { &*spl_ce_RuntimeException }
}

/// A property: its name, and a mask of `1 << IS_…`.
pub type Property = (&'static CStr, u32);

/// A class, set at its registration.
pub struct Class(AtomicPtr<ClassEntry>);

impl Class {
    /// No class yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Remembers the class that was registered.
    pub fn set(&self, class: &'static mut ClassEntry) {
        self.0.store(class, Ordering::Release);
    }

    /// Declares the typed properties, public and read-only, of a class that is being registered, and remembers it.
    pub fn set_with(&self, class: &'static mut ClassEntry, properties: &[Property]) {
        for (name, types) in properties {
            declare_property(class, name, *types);
        }
        self.set(class);
    }

    fn entry(&self) -> *mut ClassEntry {
        self.0.load(Ordering::Acquire)
    }

    /// The class.
    pub fn get(&self) -> &'static ClassEntry {
        // SAFETY: registered classes live until the module ends, and nothing needs them before their registration.
        unsafe { self.entry().as_ref() }.expect("the classes are registered when the module starts")
    }

    /// Whether a value is an object of exactly this class.
    pub fn is_of(&self, value: &Zval) -> bool {
        value.dereference().object().is_some_and(|object| std::ptr::eq(object.ce, self.entry()))
    }

    /// Creates an object, without a call of its constructor. `None` if the class can't be instantiated.
    pub fn create(&self) -> Option<Zval> {
        let mut object = Zval::new();
        // SAFETY: the class is registered; the engine fills the value.
        let status = unsafe { ffi::object_init_ex(&raw mut object, std::ptr::from_ref(self.get()).cast_mut()) };
        (status == ffi::ZEND_RESULT_CODE_SUCCESS).then_some(object)
    }

    /// The value of a plain property; null if it is no object of this class, or undefined.
    pub fn read(&self, value: &Zval, name: &CStr) -> Zval {
        let Some(object) = value.dereference().object().filter(|_| self.is_of(value)) else { return Zval::null() };
        let object = std::ptr::from_ref(object).cast_mut();
        let mut space = Zval::new();
        // SAFETY: an object of this class, whose plain properties are read without user code.
        let read = unsafe {
            ffi::zend_read_property(self.entry(), object, name.as_ptr(), name.count_bytes(), true, &raw mut space)
                .as_ref()
        };
        read.map_or_else(Zval::null, |read| read.dereference().shallow_clone())
    }

    /// Writes the properties of a new object.
    pub fn fill(&self, object: &mut ZendObject, properties: &[Property], values: &mut [Zval]) {
        for ((name, _), value) in properties.iter().zip(values) {
            self.write(object, name, value);
        }
    }

    /// Writes a property of a new object, from the scope of the class: a read-only property once. A second write throws the
    /// engine's own error.
    fn write(&self, object: &mut ZendObject, name: &CStr, value: &mut Zval) {
        // SAFETY: the class is registered, and the engine copies the value.
        unsafe { ffi::zend_update_property(self.entry(), object, name.as_ptr(), name.count_bytes(), value) };
    }
}

/// Declares a typed property, public and read-only, of a class that is being registered.
fn declare_property(class: &mut ClassEntry, name: &CStr, types: u32) {
    let flags = ffi::ZEND_ACC_PUBLIC | ffi::ZEND_ACC_READONLY;
    let mut type_ = ZendType::empty(false, false);
    type_.type_mask |= types;
    // A property without a default must be undefined, not null, until it is written.
    let mut undefined = Zval::new();
    undefined.u1.type_info = ffi::IS_UNDEF;
    // SAFETY: internal classes need permanent interned names. The engine keeps the name and the type.
    unsafe {
        let interned = ZendStr::new_interned(name.to_bytes(), true).into_raw();
        #[allow(clippy::cast_possible_wrap)]
        ffi::zend_declare_typed_property(
            class,
            interned,
            &raw mut undefined,
            flags as i32,
            std::ptr::null_mut(),
            type_,
        );
    }
}
