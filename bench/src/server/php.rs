//! PHP's settings for servers: none of the machine's own files, opcache, and what the server wants.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fmt, fs, io};

use super::programs;

/// Settings of a PHP that reads no php.ini.
#[derive(Debug, Default)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// PHP as it is run behind a server: with opcache, and with these modules of its own where they are not built in.
    ///
    /// # Errors
    /// When PHP is not there.
    pub fn new(modules: &[&str]) -> io::Result<Self> {
        let folder = programs::php_modules()?;
        let there = |name: &&str| folder.join(format!("{name}.so")).is_file();
        let mut settings = Self::default();
        for name in ["opcache"].iter().filter(|name| there(name)) {
            settings = settings.with("zend_extension", name).with("opcache.enable_cli", "1");
        }
        for name in modules.iter().filter(|name| there(name)) {
            settings = settings.with("extension", name);
        }
        Ok(settings.with("opcache.validate_timestamps", "0"))
    }

    /// Adds the extension, with a hub of its own at `socket`. It is copied to the socket's folder, as the workers' user may not
    /// be able to enter the folder of this checkout.
    ///
    /// # Errors
    /// When the extension is not built, or can't be copied.
    pub fn extension(self, socket: &Path) -> io::Result<Self> {
        let extension = socket.with_file_name("sse.so");
        if !extension.exists() {
            fs::copy(programs::extension()?, &extension)?;
            fs::set_permissions(&extension, fs::Permissions::from_mode(0o755))?;
        }
        Ok(self.with("extension", extension.display()).with("sse.socket", socket.display()).with("sse.udp", ""))
    }

    /// Adds a setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// For a command line.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let one = |(name, value): &(String, String)| ["-d".to_owned(), format!("{name}=\"{value}\"")];
        std::iter::once("-n".to_owned()).chain(self.0.iter().flat_map(one)).collect()
    }

    /// For a file.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name} = \"{value}\"\n")).collect()
    }
}
