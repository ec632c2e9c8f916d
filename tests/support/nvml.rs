//! The library in `nvml_stub.rs`, compiled on first use; each test gets a copy with a script of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A copy of the library. Its first lines say what a script can contain.
pub struct Stub {
    directory: tempfile::TempDir,
}

impl Stub {
    /// One that does as the script says.
    pub fn new(script: &str) -> Self {
        Self::without(&[], script)
    }

    /// One that lacks these functions, as that of an old driver does.
    pub fn without(functions: &[&str], script: &str) -> Self {
        let stub = Self { directory: tempfile::tempdir().unwrap() };
        let mut library = std::fs::read(built()).unwrap();
        for name in functions {
            // Under another name the dynamic linker does not find it: it compares names, not only their hashes.
            let name = format!("\0{name}\0").into_bytes();
            let places: Vec<_> =
                (0..library.len() - name.len()).filter(|i| library[*i..].starts_with(&name)).collect();
            assert!(!places.is_empty());
            places.into_iter().for_each(|place| library[place + 1] = b'-');
        }
        std::fs::write(stub.path(), library).unwrap();
        let script: Vec<_> = script.split_whitespace().collect();
        std::fs::write(format!("{}.script", stub.path().display()), script.join("\n")).unwrap();
        stub
    }

    /// For the option `library`.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("libnvidia-ml.so.1")
    }
}

fn built() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // The text is in the test program, so what was compiled from another one is not taken for it.
        let text = include_str!("nvml_stub.rs");
        let path = directory.join("nvml_stub.so");
        let source = directory.join("nvml_stub.rs");
        let is_current = std::fs::read_to_string(&source).is_ok_and(|compiled| compiled == text);
        if !is_current || !path.exists() {
            // Test programs run side by side: each compiles to names of its own, the last one stays.
            let own = |end: &str| directory.join(format!("nvml_stub-{}.{end}", std::process::id()));
            std::fs::write(own("rs"), text).unwrap();
            let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            let status = Command::new(rustc)
                .args(["--edition=2024", "-O", "--crate-type=cdylib", "--crate-name=nvml_stub", "-o"])
                .args([own("so"), own("rs")])
                .status()
                .unwrap();
            assert!(status.success());
            std::fs::rename(own("so"), &path).unwrap();
            std::fs::rename(own("rs"), &source).unwrap();
        }
        path.as_path().to_owned()
    })
}
