//! The built binary as a user runs it, and workloads with a known cost.

#![allow(dead_code, reason = "every test file uses another part of this")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal};

/// A run of `alumet` in an empty directory, with nothing of the caller's configuration.
pub struct Alumet {
    pub command: Command,
    directory: tempfile::TempDir,
}

/// What became of it.
#[derive(Debug)]
pub struct Done {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Alumet {
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::with(Command::new(binary()), arguments)
    }

    /// `command` executes `alumet` with the arguments that it is given.
    pub fn with<A: AsRef<OsStr>>(mut command: Command, arguments: impl IntoIterator<Item = A>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        command.args(arguments).current_dir(directory.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ALUMET_") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", directory.path().join("xdg"));
        from_anywhere(&mut command);
        // What was saved of this machine is not what a test is about.
        command.env("ALUMET_IDLE_PROFILE", directory.path().join("idle.json"));
        Self { command, directory }
    }

    /// Through a shell: `script` sets something up and runs `"$@"`, which is alumet with these arguments.
    pub fn sh(script: &str, arguments: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(binary());
        Self::with(shell, arguments)
    }

    /// Like [`Self::sh`], but as an ordinary user, in a directory that everybody can write to. Needs root.
    pub fn as_nobody(script: &str, arguments: &[&str]) -> Self {
        let mut alumet = Self::with(Command::new("setpriv"), [""; 0]);
        // A user who runs nothing else: limits count all processes of a user.
        let uid = 100_000 + std::fs::metadata(alumet.path("")).unwrap().ino() % 1_000_000;
        alumet.command.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
        alumet.command.args([
            "--clear-groups",
            "--bounding-set=-all",
            "sh",
            "-c",
            script,
            "sh",
            "bin/alumet",
        ]);
        alumet.command.args(arguments);
        // The built binary may lie where only root can go.
        std::fs::create_dir(alumet.path("bin")).unwrap();
        std::fs::copy(binary(), alumet.path("bin/alumet")).unwrap();
        std::fs::set_permissions(alumet.path(""), PermissionsExt::from_mode(0o777)).unwrap();
        alumet
    }

    /// Puts the workload there too, as `bin/workload`.
    pub fn with_workload(self) -> Self {
        let _ = std::fs::create_dir(self.path("bin"));
        std::fs::copy(workload(), self.path("bin/workload")).unwrap();
        self
    }

    /// A file in the directory of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end, or kills it after two minutes.
    pub fn run(&mut self) -> Done {
        let processes = self.processes();
        let (ended, watch) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if watch.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
                    processes.kill();
                }
            });
            let output = self.command.output().unwrap();
            drop(ended);
            Done::of(output)
        })
    }

    /// What runs of all that was started here.
    pub fn processes(&self) -> Processes {
        Processes { mark: self.directory.path().as_os_str().as_bytes().to_owned() }
    }

    /// The rows of a CSV file in the directory of the run, by column.
    pub fn rows(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        csv::Reader::from_path(self.path(name)).unwrap().deserialize().map(|row| row.unwrap()).collect()
    }

    pub fn profile(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }
}

/// Nothing of the shell that the tests run in gets to this command: no language, no ignored signal, no open file.
pub fn from_anywhere(command: &mut Command) {
    command.env("LC_ALL", "C.UTF-8");
    let defaults = || {
        // Whoever runs the tests in the background may ignore some of them, and that is inherited.
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGCHLD] {
            // SAFETY: a default disposition, set between fork and exec by a plain system call.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl)? };
        }
        // Nor is it known what else is open where the tests run, and limits count that too. Old kernels leave it.
        // SAFETY: it marks descriptors to be closed when the program is executed, and touches no memory.
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Ok(())
    };
    // SAFETY: it makes system calls alone.
    unsafe { command.pre_exec(defaults) };
}

/// No test leaves a process behind.
impl Drop for Alumet {
    fn drop(&mut self) {
        self.processes().kill();
    }
}

/// The living processes that have the run's directory in their environment: alumet and everything that it has started.
pub struct Processes {
    mark: Vec<u8>,
}

impl Processes {
    pub fn pids(&self) -> Vec<i32> {
        let all = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let marked = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(self.mark.len()).any(|part| part == self.mark)
        };
        all.filter(marked).collect()
    }

    /// Kills them and whatever they start meanwhile.
    pub fn kill(&self) {
        for _ in 0..100 {
            let pids = self.pids();
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                // It may have ended since.
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Done {
    pub fn of(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            // A signal that ends alumet itself shows as a negative number.
            status: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap()),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    #[track_caller]
    pub fn status(self, expected: i32) -> Self {
        assert_eq!(self.status, expected, "{self:#?}");
        self
    }

    /// The one line on stderr is alumet's and has this in it; nothing is on stdout.
    #[track_caller]
    pub fn refuses(self, status: i32, expected: &str) -> Self {
        assert_eq!((self.status, self.stdout.as_str()), (status, ""), "{self:#?}");
        let one_line = self.stderr.starts_with("alumet: ") && self.stderr.matches('\n').count() == 1;
        assert!(one_line && self.stderr.ends_with('\n'), "{self:#?}");
        self.says(expected)
    }

    /// Something must be on stderr, wherever lines are broken.
    #[track_caller]
    pub fn says(self, expected: &str) -> Self {
        let unbroken: Vec<_> = self.stderr.split_whitespace().collect();
        let is_there = self.stderr.contains(expected) || unbroken.join(" ").contains(expected);
        assert!(is_there, "not found: {expected}\n{}", self.stderr);
        self
    }

    /// The one line on stderr is this, and nothing is on stdout.
    #[track_caller]
    pub fn only_says(self, expected: &str) -> Self {
        assert_eq!((self.stderr.as_str(), self.stdout.as_str()), (format!("{expected}\n").as_str(), ""));
        self
    }
}

/// The `alumet` under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_alumet"))
}

/// The program in `workload.rs`, compiled on first use. Its first lines say what it can do.
pub fn workload() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| compiled("workload"))
}

/// The program in `meter.rs`, likewise.
pub fn meter() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| compiled("meter"))
}

/// A program of one file in this directory, compiled if it is newer than what is there.
fn compiled(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/support/{name}.rs"));
    let path = directory.join(name);
    let age = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    if age(&path) < age(&source) || age(&path).is_none() {
        // Test programs run side by side: each compiles to a name of its own, the last one stays.
        let own = directory.join(format!("{name}-{}", std::process::id()));
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let status =
            Command::new(rustc).args(["--edition=2024", "-O", "-o"]).args([&own, &source]).status().unwrap();
        assert!(status.success());
        std::fs::rename(own, &path).unwrap();
    }
    path
}

/// The total of a counter of the application, or of one label of it, in a profile.
pub fn counter(profile: &serde_json::Value, metric: &str, label: &str) -> f64 {
    let of_target = |m: &&serde_json::Value| {
        let labels = m["labels"].as_object().unwrap();
        m["metric"] == metric
            && m["consumer"] == "target"
            && (label.is_empty() || labels.values().any(|value| value == label))
    };
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let values: Vec<f64> = metrics.iter().filter(of_target).map(|m| m["value"].as_f64().unwrap()).collect();
    assert!(!values.is_empty(), "no {metric} {label} in {profile:#}");
    values.iter().sum()
}

/// Waits until it is so, for half a minute; returns whether it is.
pub fn soon(condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Says that a test is skipped; past the test harness, which would keep it to itself.
pub fn skip(test: &str, why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Whether the test process is root; says that the test is skipped if it is not.
pub fn is_root(test: &str) -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        skip(test, "needs root");
    }
    root
}

/// Sets `perf_event_paranoid`, and back when it is dropped. Needs root.
pub struct Paranoid(String);

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

impl Paranoid {
    pub fn set(test: &str, level: i32) -> Option<Self> {
        if !is_root(test) {
            return None;
        }
        let before = std::fs::read_to_string(PARANOID).unwrap();
        if let Err(error) = std::fs::write(PARANOID, level.to_string()) {
            skip(test, &format!("{PARANOID} cannot be written: {error}"));
            return None;
        }
        Some(Self(before))
    }
}

impl Drop for Paranoid {
    fn drop(&mut self) {
        std::fs::write(PARANOID, &self.0).unwrap();
    }
}

/// Makes the kernel's clock look like a RAPL counter of a package, in a directory that stands for `/sys`.
pub fn clock_as_power_pmu(sysfs: &Path) {
    const POWER: &str = "bus/event_source/devices/power";
    for (place, file, text) in [
        (POWER, "type", "1\n"),
        (POWER, "cpumask", "0\n"),
        (POWER, "events/energy-pkg", "event=0x00\n"),
        (POWER, "events/energy-pkg.scale", "5e-8\n"),
        (POWER, "events/energy-pkg.unit", "Joules\n"),
        ("devices/system/cpu/cpu0/topology", "physical_package_id", "0\n"),
    ] {
        let path = sysfs.join(place).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}
