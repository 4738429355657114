//! Sets the `cfg` flags of the PHP to build for: `php82` and so on, and `php_zts`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let info = ext_php_rs_build::PHPInfo::get(&ext_php_rs_build::find_php()?)?;
    let version: ext_php_rs_build::ApiVersion = info.zend_version()?.try_into()?;
    ext_php_rs_build::emit_check_cfg();
    ext_php_rs_build::emit_php_cfg_flags(version);
    if info.thread_safety()? {
        println!("cargo:rustc-cfg=php_zts");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PHP");
    println!("cargo:rerun-if-env-changed=PHP_CONFIG");
    Ok(())
}
