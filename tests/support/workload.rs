//! A program with a known cost, for tests. Its arguments are steps, done one after the other:
//!
//! - `burn=MS`       uses MS milliseconds of CPU time in this thread
//! - `threads=N:MS`  N threads at once, each using MS milliseconds; waits for them
//! - `child=MS`      a child process that uses MS milliseconds; waits for it
//! - `grandchild=MS` a child whose child uses MS milliseconds; each waits for its own
//! - `orphan=MS`     a double-forked, setsid process that uses MS milliseconds and then ends; waits, through a pipe,
//!   until it has, without being its parent
//! - `daemon=MS`     a double-forked, setsid process that sleeps MS milliseconds; does not wait
//! - `forget=MS`     a child that uses MS milliseconds while this process ignores SIGCHLD, so that nobody waits for it
//! - `ignore`        ignores SIGCHLD from now on, so that nobody waits for children
//! - `tear=MB:MS`    a child that writes to MB megabytes and then uses MS milliseconds; waits for it
//! - `forks=N`       N children one after the other that end at once; waits for each
//! - `storm=N`       N threads one after the other that end at once; waits for each
//! - `chain=N:MS`    a chain of N processes, each the child of the one before, of which the last uses MS milliseconds
//! - `relay=N`       N processes, each created by the one before, which ends at once; the last makes the file `over`. Does
//!   not wait
//! - `tree=MS`       eight threads and four children at once, each using MS milliseconds; two of the children fork another
//!   child of 2 ms every 5 ms of it, and two have a second thread that uses as much; waits for all
//! - `fat=MB:MS`     holds MB megabytes while a child that is forked from them uses MS milliseconds; waits for it
//! - `shared=MB:MS`  holds MB megabytes while five children that are forked from them sleep MS milliseconds; waits for them
//! - `copied=MB:MS`  the same, but each of the children first writes to all of its memory
//! - `mapped=MB:MS`  the same, with memory that stays shared, to all of which everybody writes
//! - `crowd=MB:MS`   holds MB megabytes and forks five children from them that end one after the other; waits for all of them,
//!   and does it again, for MS milliseconds
//! - `vfork=MB:MS`   holds MB megabytes while a child has them as well, by vfork(2), and sleeps MS milliseconds
//! - `leader=MB:MS`  ends its main thread while another one holds MB megabytes and uses MS milliseconds
//! - `crew=N:MS`     N threads at once, each using MS milliseconds, that stay; waits until they have used it
//! - `stay=MS`       a child that uses MS milliseconds and stays until it is killed; waits until it has used it
//! - `left=N:MS`     N children that use MS milliseconds each and end, for which nobody waits; waits until they have ended
//! - `reap`          waits for all children
//! - `go`            waits for a byte on stdin
//! - `spin=MS`       uses MS milliseconds and prints how many rounds it has made per millisecond of CPU time
//! - `touch=MB`      writes to every page of MB megabytes, then gives them back
//! - `sleep=MS`      sleeps
//! - `closefds`      closes all descriptors above 2
//! - `rename`        executes itself again with the rest of the steps
//! - `thread=MS`     executes itself again with the rest of the steps from another thread, which uses MS milliseconds before
//! - `usage`         prints on stdout, as JSON, what getrusage(2) says of this process and the children it waited for

use std::ffi::{c_int, c_long};
use std::time::Duration;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: c_long,
}

unsafe extern "C" {
    fn fork() -> c_int;
    fn vfork() -> c_int;
    fn usleep(micros: u32) -> c_int;
    fn mmap(at: *mut u8, n: usize, protection: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut u8;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn setsid() -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn _exit(status: c_int) -> !;
    fn pipe(fds: *mut c_int) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn read(fd: c_int, buffer: *mut u8, n: usize) -> isize;
    fn signal(signal: c_int, handler: usize) -> usize;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn getrusage(who: c_int, usage: *mut [c_long; 18]) -> c_int;
}

const THREAD_CPU: c_int = 3;

fn thread_cpu() -> Duration {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    unsafe { clock_gettime(THREAD_CPU, &mut time) };
    Duration::new(time.seconds as u64, time.nanos as u32)
}

fn burn(ms: u64) {
    rounds(ms);
}

/// Uses this time and returns how many rounds it has made.
fn rounds(ms: u64) -> u64 {
    let end = thread_cpu() + Duration::from_millis(ms);
    let (mut x, mut rounds) = (1u64, 0);
    while thread_cpu() < end {
        for _ in 0..10_000 {
            x = std::hint::black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
        }
        rounds += 1;
    }
    rounds
}

fn at_once(n: u64, f: impl Fn() + Clone + Send + 'static) {
    let threads: Vec<_> = (0..n).map(|_| std::thread::spawn(f.clone())).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn chain(n: u64, ms: u64) {
    match n {
        0 => burn(ms),
        n => wait(child(|| chain(n - 1, ms))),
    }
}

fn relay(n: u64) {
    for _ in 0..n {
        if unsafe { fork() } != 0 {
            unsafe { _exit(0) }
        }
    }
    std::fs::File::create("over").unwrap();
}

fn tree(ms: u64) {
    let forking = || (0..ms / 5).for_each(|_| {
        burn(5);
        wait(child(|| burn(2)));
    });
    let threaded = || at_once(2, move || burn(ms));
    let children = [child(forking), child(forking), child(threaded), child(threaded)];
    at_once(8, move || burn(ms));
    children.into_iter().for_each(wait);
}

/// Runs `f` in a child process.
fn child(f: impl FnOnce()) -> c_int {
    match unsafe { fork() } {
        0 => {
            f();
            unsafe { _exit(0) }
        }
        pid => pid,
    }
}

fn wait(pid: c_int) {
    unsafe { waitpid(pid, std::ptr::null_mut(), 0) };
}

/// A double-forked process in a session of its own; returns the end of a pipe that closes when it ends.
fn detached(f: impl FnOnce()) -> c_int {
    let mut ends = [0; 2];
    unsafe { pipe(ends.as_mut_ptr()) };
    wait(child(|| {
        child(|| unsafe {
            setsid();
            close(ends[0]);
            f();
        });
    }));
    unsafe { close(ends[1]) };
    ends[0]
}

/// Memory, every page of it in use.
fn touched(mb: u64) -> Vec<u8> {
    let mut memory = vec![0u8; mb as usize * 1_000_000];
    touch(&mut memory);
    std::hint::black_box(memory)
}

/// Writes to every page.
fn touch(memory: &mut [u8]) {
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = std::hint::black_box(1));
}

/// Memory that is shared with children.
fn mapped(mb: u64) -> &'static mut [u8] {
    let n = mb as usize * 1_000_000;
    // Readable and writable, shared and of no file.
    let at = unsafe { mmap(std::ptr::null_mut(), n, 3, 0x21, -1, 0) };
    unsafe { std::slice::from_raw_parts_mut(at, n) }
}

/// Five children that are forked at once and sleep for so long once they have done this.
fn five(ms: u64, mut first: impl FnMut()) {
    let children = [(); 5].map(|()| {
        child(|| {
            first();
            std::thread::sleep(Duration::from_millis(ms));
        })
    });
    children.into_iter().for_each(wait);
}

/// Five children that are forked one after the other, and end likewise.
fn crowd() {
    let children = [4, 8, 12, 16, 20].map(|ms| child(|| std::thread::sleep(Duration::from_millis(ms))));
    children.into_iter().for_each(wait);
}

/// A child that shares all of this process' memory, which stands still meanwhile.
fn shadow(micros: u32) {
    let pid = unsafe { vfork() };
    if pid == 0 {
        unsafe {
            usleep(micros);
            _exit(0)
        }
    }
    wait(pid);
}

fn usage() {
    let mut sum = [0 as c_long; 18];
    for who in [0, -1] {
        let mut usage = [0 as c_long; 18];
        unsafe { getrusage(who, &mut usage) };
        for (i, (sum, more)) in sum.iter_mut().zip(usage).enumerate() {
            *sum = if i == 4 { (*sum).max(more) } else { *sum + more };
        }
    }
    println!(
        "{{\"cpu_us\":{},\"maxrss_kb\":{},\"minflt\":{},\"majflt\":{},\"inblock\":{},\"oublock\":{},\"nvcsw\":{},\"nivcsw\":{}}}",
        (sum[0] + sum[2]) * 1_000_000 + sum[1] + sum[3],
        sum[4],
        sum[8],
        sum[9],
        sum[11],
        sum[12],
        sum[16],
        sum[17],
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    for (i, step) in arguments.iter().enumerate().skip(1) {
        let (name, value) = step.split_once('=').unwrap_or((step, "0"));
        let (n, ms) = value.split_once(':').unwrap_or(("1", value));
        let (n, ms): (u64, u64) = (n.parse().unwrap(), ms.parse().unwrap());
        match name {
            "burn" => burn(ms),
            "spin" => println!("{}", rounds(ms) as f64 / ms as f64),
            "threads" => at_once(n, move || burn(ms)),
            "storm" => (0..ms).for_each(|_| at_once(1, || {})),
            "chain" => chain(n, ms),
            "relay" => {
                child(|| relay(ms));
            }
            "tree" => tree(ms),
            "fat" => {
                let memory = touched(n);
                wait(child(|| burn(ms)));
                drop(memory);
            }
            "shared" => {
                let memory = touched(n);
                five(ms, || {});
                drop(memory);
            }
            "copied" => {
                let mut memory = touched(n);
                five(ms, || touch(&mut memory));
                drop(memory);
            }
            "mapped" => {
                let memory = mapped(n);
                touch(memory);
                five(ms, || touch(memory));
            }
            "crowd" => {
                let memory = touched(n);
                let start = std::time::Instant::now();
                while start.elapsed() < Duration::from_millis(ms) {
                    crowd();
                }
                drop(memory);
            }
            "vfork" => {
                let memory = touched(n);
                shadow(ms as u32 * 1000);
                drop(memory);
            }
            "leader" => {
                std::thread::spawn(move || {
                    let memory = touched(n);
                    burn(ms);
                    drop(memory);
                    unsafe { _exit(0) }
                });
                // exit(2) of this thread alone; pthread_exit(3) would unwind.
                unsafe { syscall(if cfg!(target_arch = "x86_64") { 60 } else { 93 }, 0 as c_long) };
            }
            "crew" => {
                let used = std::sync::Arc::new(std::sync::Barrier::new(n as usize + 1));
                for _ in 0..n {
                    let used = used.clone();
                    std::thread::spawn(move || {
                        burn(ms);
                        used.wait();
                        std::thread::sleep(Duration::MAX);
                    });
                }
                used.wait();
            }
            "left" => {
                let mut ends = [0; 2];
                unsafe { pipe(ends.as_mut_ptr()) };
                (0..n).for_each(|_| _ = child(|| burn(ms)));
                unsafe { close(ends[1]) };
                unsafe { read(ends[0], &mut 0, 1) };
            }
            "stay" => {
                let mut ends = [0; 2];
                unsafe { pipe(ends.as_mut_ptr()) };
                child(|| {
                    burn(ms);
                    unsafe { close(ends[1]) };
                    std::thread::sleep(Duration::MAX);
                });
                unsafe { close(ends[1]) };
                unsafe { read(ends[0], &mut 0, 1) };
            }
            "reap" => while unsafe { waitpid(-1, std::ptr::null_mut(), 0) } > 0 {},
            "go" => {
                unsafe { read(0, &mut 0, 1) };
            }
            "child" => wait(child(|| burn(ms))),
            "grandchild" => wait(child(|| wait(child(|| burn(ms))))),
            "orphan" => {
                let fd = detached(|| burn(ms));
                let mut byte = 0;
                unsafe { read(fd, &mut byte, 1) };
            }
            "daemon" => {
                detached(|| std::thread::sleep(Duration::from_millis(ms)));
            }
            "forget" => unsafe {
                signal(17, 1);
                let pid = child(|| burn(ms));
                wait(pid);
                signal(17, 0);
            },
            "ignore" => {
                unsafe { signal(17, 1) };
            }
            "tear" => wait(child(|| {
                drop(touched(n));
                burn(ms);
            })),
            "forks" => (0..ms).for_each(|_| wait(child(|| {}))),
            "touch" => drop(touched(ms)),
            "hold" => {
                let memory = touched(n);
                std::thread::sleep(Duration::from_millis(ms));
                drop(memory);
            }
            "write" => {
                use std::io::Write;
                let mut file = std::fs::File::create("written").unwrap();
                file.write_all(&vec![1; ms as usize * 1000]).unwrap();
                file.sync_all().unwrap();
            }
            "sleep" => std::thread::sleep(Duration::from_millis(ms)),
            "closefds" => (3..100).for_each(|fd| {
                unsafe { close(fd) };
            }),
            "rename" => {
                use std::os::unix::process::CommandExt;
                let error = std::process::Command::new(&arguments[0]).args(&arguments[i + 1..]).exec();
                panic!("{error}");
            }
            "thread" => {
                use std::os::unix::process::CommandExt;
                let (program, rest) = (arguments[0].clone(), arguments[i + 1..].to_vec());
                let thread = std::thread::spawn(move || {
                    burn(ms);
                    std::process::Command::new(program).args(rest).exec()
                });
                panic!("{:?}", thread.join());
            }
            "usage" => usage(),
            _ => panic!("unknown step {step}"),
        }
    }
}
