//! A driver's library without a driver: GPUs that do what a script says. Compiled as a C library.
//!
//! The script lies beside the library, as `LIBRARY.script`, one line for each thing:
//!
//! - `gpus=N`               how many there are (2)
//! - `period=MS`            how often their energy counters advance (20)
//! - `watts=FROM:TO`        the power of GPU 0: it rises for a second, then stays (100:100); GPU N draws N + 1 times that
//! - `fail=NAME:CODE[:N]`   the function answers CODE (`nvmlReturn_t`), from its (N + 1)-th call on
//! - `once=NAME:CODE:N`     the same, in its (N + 1)-th call alone
//! - `lost=GPU:N`           the GPU falls off the bus after N calls about it
//! - `hang=NAME:N`          the function does not return, from its (N + 1)-th call on
//! - `slow=NAME:MS`         it takes so long
//! - `reset=GPU:MS`         its energy counter starts anew after this time
//! - `still=GPU`            its energy counter does not advance
//! - `mig=GPU`              it is split into instances: then load is not told, neither by process
//! - `process=GPU:PID:BYTES:KIND[:LOAD]`  who is on it; PID may be `child`, the first child of this process; KIND is
//!   `compute` or `graphics`; LOAD is in percent (40)
//! - `driver=VERSION`       (550.54.14)

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

const SUCCESS: u32 = 0;
const INVALID_ARGUMENT: u32 = 2;
const NOT_SUPPORTED: u32 = 3;
const NOT_FOUND: u32 = 6;
const INSUFFICIENT_SIZE: u32 = 7;
const GPU_IS_LOST: u32 = 15;

/// A device's handle: its index plus one.
type Handle = usize;

#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

struct Stub {
    script: Vec<(String, Vec<String>)>,
    loaded: Instant,
    calls: Mutex<HashMap<String, u64>>,
}

fn stub() -> &'static Stub {
    static STUB: OnceLock<Stub> = OnceLock::new();
    STUB.get_or_init(|| {
        let mut info = DlInfo {
            file: std::ptr::null(),
            base: std::ptr::null_mut(),
            symbol: std::ptr::null(),
            address: std::ptr::null_mut(),
        };
        assert_ne!(unsafe { dladdr(stub as *const c_void, &mut info) }, 0);
        let file = unsafe { CStr::from_ptr(info.file) }.to_str().unwrap();
        let text = std::fs::read_to_string(format!("{file}.script")).unwrap_or_default();
        let line = |line: &str| {
            let (key, value) = line.split_once('=').unwrap();
            (key.to_owned(), value.split(':').map(str::to_owned).collect())
        };
        Stub { script: text.lines().map(line).collect(), loaded: Instant::now(), calls: Mutex::default() }
    })
}

impl Stub {
    fn lines(&self, key: &str) -> impl Iterator<Item = &[String]> {
        self.script.iter().filter(move |(k, _)| k == key).map(|(_, values)| values.as_slice())
    }

    /// The number after `key=FIRST:`.
    fn number(&self, key: &str, first: &str) -> Option<u64> {
        let values = self.lines(key).find(|values| values[0] == first)?;
        Some(values.get(1).map_or(0, |value| value.parse().unwrap()))
    }

    fn setting<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.lines(key).next().map_or(default, |values| &values[0])
    }

    fn count(&self, what: &str) -> u64 {
        let mut calls = self.calls.lock().unwrap();
        let calls = calls.entry(what.to_owned()).or_default();
        *calls += 1;
        *calls
    }

    fn gpus(&self) -> usize {
        self.setting("gpus", "2").parse().unwrap()
    }

    /// Watts between which it rises in the first second, and how much this GPU draws of it.
    fn curve(&self, gpu: usize) -> (f64, f64) {
        let line = self.lines("watts").next();
        let watts = |i: usize| line.map_or(100.0, |values| values[i].parse().unwrap()) * (gpu as f64 + 1.0);
        (watts(0), watts(1))
    }

    fn watts(&self, gpu: usize) -> f64 {
        let (from, to) = self.curve(gpu);
        from + (to - from) * self.loaded.elapsed().as_secs_f64().min(1.0)
    }

    /// Millijoules, as they were when the counter last advanced.
    fn energy(&self, gpu: usize) -> u64 {
        let period: u64 = self.setting("period", "20").parse().unwrap();
        let ms = self.loaded.elapsed().as_millis() as u64 / period * period;
        let at = |ms: u64| {
            let (from, to) = self.curve(gpu);
            let s = ms as f64 / 1e3;
            let rising = s.min(1.0);
            let joules = from * rising + (to - from) * rising * rising / 2.0 + to * (s - rising);
            (joules * 1e3) as u64
        };
        let gpu = gpu.to_string();
        match self.number("reset", &gpu) {
            _ if self.lines("still").any(|values| values[0] == gpu) => 0,
            Some(reset) if ms >= reset => at(ms) - at(reset),
            _ => 1_000_000_000 + at(ms),
        }
    }

    fn is_mig(&self, gpu: usize) -> bool {
        self.lines("mig").any(|values| values[0] == gpu.to_string())
    }

    /// Pid, memory, load.
    fn processes(&self, gpu: usize, kind: Option<&str>) -> Vec<(u32, u64, u32)> {
        let pid = |text: &str| match text {
            "child" => child(),
            pid => pid.parse().ok(),
        };
        self.lines("process")
            .filter(|values| values[0] == gpu.to_string() && kind.is_none_or(|kind| values[3] == kind))
            .filter_map(|values| {
                let load = values.get(4).map_or(40, |load| load.parse().unwrap());
                Some((pid(&values[1])?, values[2].parse().unwrap(), load))
            })
            .collect()
    }
}

/// The first child of this process that lives and has executed something.
fn child() -> Option<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let own = std::fs::read_link("/proc/self/exe").ok()?;
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|children| children.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .find(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe != own))
        .and_then(|pid| pid.parse().ok())
}

/// What every call has in common; `device` is 0 where it is about none.
fn call(name: &str, device: Handle, answer: impl FnOnce(&'static Stub, usize) -> u32) -> u32 {
    let stub = stub();
    let calls = stub.count(name);
    if let Some(ms) = stub.number("slow", name) {
        std::thread::sleep(Duration::from_millis(ms));
    }
    if stub.number("hang", name).is_some_and(|after| calls > after) {
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    for (key, values) in stub.script.iter().filter(|(key, values)| matches!(&**key, "fail" | "once") && values[0] == name) {
        let after = values.get(2).map_or(0, |after| after.parse().unwrap());
        if calls == after + 1 || (key == "fail" && calls > after) {
            return values[1].parse().unwrap();
        }
    }
    let Some(gpu) = device.checked_sub(1) else { return answer(stub, 0) };
    if gpu >= stub.gpus() {
        return INVALID_ARGUMENT;
    }
    let about = stub.count(&format!("GPU {gpu}"));
    if stub.number("lost", &gpu.to_string()).is_some_and(|after| about > after) {
        return GPU_IS_LOST;
    }
    answer(stub, gpu)
}

/// A function that puts one value somewhere.
macro_rules! tells {
    ($($name:ident: $type:ty = |$stub:ident, $gpu:ident| $value:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(device: Handle, out: *mut $type) -> u32 {
            call(stringify!($name), device, |$stub, $gpu| {
                unsafe { out.write($value) };
                SUCCESS
            })
        }
    )*};
}

/// A function that writes a text.
macro_rules! names {
    ($($name:ident = |$stub:ident, $gpu:ident| $text:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(device: Handle, out: *mut c_char, room: c_uint) -> u32 {
            call(stringify!($name), device, |$stub, $gpu| write_text(&$text, out, room))
        }
    )*};
}

fn write_text(text: &str, out: *mut c_char, room: c_uint) -> u32 {
    let text = CString::new(text).unwrap();
    let bytes = text.as_bytes_with_nul();
    if bytes.len() > room as usize {
        return INSUFFICIENT_SIZE;
    }
    unsafe { out.copy_from_nonoverlapping(bytes.as_ptr().cast(), bytes.len()) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> u32 {
    call("nvmlInit_v2", 0, |_, _| SUCCESS)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> u32 {
    call("nvmlShutdown", 0, |_, _| SUCCESS)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetDriverVersion(out: *mut c_char, room: c_uint) -> u32 {
    call("nvmlSystemGetDriverVersion", 0, |stub, _| write_text(stub.setting("driver", "550.54.14"), out, room))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> u32 {
    call("nvmlDeviceGetCount_v2", 0, |stub, _| {
        unsafe { out.write(stub.gpus() as c_uint) };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: *mut Handle) -> u32 {
    call("nvmlDeviceGetHandleByIndex_v2", index as usize + 1, |_, gpu| {
        unsafe { out.write(gpu + 1) };
        SUCCESS
    })
}

names! {
    nvmlDeviceGetName = |_stub, _gpu| "Stub 9000";
    nvmlDeviceGetUUID = |_stub, gpu| format!("GPU-00000000-0000-0000-0000-00000000000{gpu}");
}

/// `nvmlUtilization_t`
#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// `nvmlMemory_v2_t`
#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

tells! {
    nvmlDeviceGetTotalEnergyConsumption: c_ulonglong = |stub, gpu| stub.energy(gpu);
    // An average differs from the power at this instant.
    nvmlDeviceGetPowerUsage: c_uint = |stub, gpu| (stub.watts(gpu) * 1e3) as c_uint + 7_000;
    nvmlDeviceGetCurrentClocksThrottleReasons: c_ulonglong = |_stub, gpu| if gpu == 0 { 0x4 } else { 0x1 };
    nvmlDeviceGetMemoryInfo_v2: Memory = |stub, gpu| {
        let used = 1_000_000_000 + stub.processes(gpu, None).iter().map(|(_, bytes, _)| bytes).sum::<u64>();
        Memory { version: 2, total: 80_000_000_000, reserved: 0, free: 80_000_000_000 - used, used }
    };
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetUtilizationRates(device: Handle, out: *mut Utilization) -> u32 {
    call("nvmlDeviceGetUtilizationRates", device, |stub, gpu| {
        if stub.is_mig(gpu) {
            return NOT_SUPPORTED;
        }
        let gpu = if stub.processes(gpu, None).is_empty() { 0 } else { 45 };
        unsafe { out.write(Utilization { gpu, memory: gpu / 3 }) };
        SUCCESS
    })
}

fn engine(name: &str, device: Handle, percent: c_uint, out: *mut c_uint, period: *mut c_uint) -> u32 {
    call(name, device, |_, _| {
        unsafe {
            out.write(percent);
            period.write(167_000);
        }
        SUCCESS
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetEncoderUtilization(device: Handle, out: *mut c_uint, period: *mut c_uint) -> u32 {
    engine("nvmlDeviceGetEncoderUtilization", device, 5, out, period)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetDecoderUtilization(device: Handle, out: *mut c_uint, period: *mut c_uint) -> u32 {
    engine("nvmlDeviceGetDecoderUtilization", device, 6, out, period)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetTemperature(device: Handle, _sensor: c_uint, out: *mut c_uint) -> u32 {
    call("nvmlDeviceGetTemperature", device, |_, gpu| {
        unsafe { out.write(40 + gpu as c_uint) };
        SUCCESS
    })
}

/// Two questions in one function, told apart in the script.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetClockInfo(device: Handle, which: c_uint, out: *mut c_uint) -> u32 {
    let (name, mhz) = if which == 1 { ("nvmlDeviceGetClockInfo/SM", 1_410) } else { ("nvmlDeviceGetClockInfo/MEM", 1_593) };
    call(name, device, |_, _| {
        unsafe { out.write(mhz) };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMigMode(device: Handle, current: *mut c_uint, pending: *mut c_uint) -> u32 {
    call("nvmlDeviceGetMigMode", device, |stub, gpu| {
        let mode = c_uint::from(stub.is_mig(gpu));
        unsafe {
            current.write(mode);
            pending.write(mode);
        }
        SUCCESS
    })
}

/// `nvmlFieldValue_t`, whose value is in the first bytes of a union.
#[repr(C)]
pub struct Field {
    id: c_uint,
    scope: c_uint,
    timestamp: i64,
    latency: i64,
    kind: c_uint,
    answer: c_uint,
    value: u64,
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetFieldValues(device: Handle, n: c_int, fields: *mut Field) -> u32 {
    const POWER_INSTANT: c_uint = 186;
    const UNSIGNED_INT: c_uint = 1;
    call("nvmlDeviceGetFieldValues", device, |stub, gpu| {
        for field in unsafe { std::slice::from_raw_parts_mut(fields, n as usize) } {
            // The answer to one field may be another than that to the call.
            let own = stub.number("fail", &format!("field/{}", field.id));
            field.answer = own.map_or(if field.id == POWER_INSTANT { SUCCESS } else { NOT_SUPPORTED }, |code| code as u32);
            field.kind = UNSIGNED_INT;
            field.value = (stub.watts(gpu) * 1e3) as u64;
        }
        SUCCESS
    })
}

/// `nvmlProcessInfo_t`, version 2
#[repr(C)]
pub struct Process {
    pid: c_uint,
    memory: c_ulonglong,
    instance: c_uint,
    compute_instance: c_uint,
}

fn running(name: &str, device: Handle, kind: &str, n: *mut c_uint, out: *mut Process) -> u32 {
    call(name, device, |stub, gpu| {
        let processes = stub.processes(gpu, Some(kind));
        let room = unsafe { n.replace(processes.len() as c_uint) } as usize;
        if room < processes.len() {
            return INSUFFICIENT_SIZE;
        }
        for (i, (pid, memory, _)) in processes.into_iter().enumerate() {
            let process = Process { pid, memory, instance: u32::MAX, compute_instance: u32::MAX };
            unsafe { out.add(i).write(process) };
        }
        SUCCESS
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(device: Handle, n: *mut c_uint, out: *mut Process) -> u32 {
    running("nvmlDeviceGetComputeRunningProcesses_v3", device, "compute", n, out)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(device: Handle, n: *mut c_uint, out: *mut Process) -> u32 {
    running("nvmlDeviceGetGraphicsRunningProcesses_v3", device, "graphics", n, out)
}

/// `nvmlProcessUtilizationSample_t`
#[repr(C)]
pub struct Sample {
    pid: c_uint,
    timestamp: c_ulonglong,
    sm: c_uint,
    memory: c_uint,
    encoder: c_uint,
    decoder: c_uint,
}

/// A sample a process every 50 ms.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetProcessUtilization(
    device: Handle,
    out: *mut Sample,
    n: *mut c_uint,
    last_seen: c_ulonglong,
) -> u32 {
    call("nvmlDeviceGetProcessUtilization", device, |stub, gpu| {
        if stub.is_mig(gpu) {
            return NOT_SUPPORTED;
        }
        let timestamp = stub.loaded.elapsed().as_millis() as u64 / 50 * 50_000;
        let processes = stub.processes(gpu, None);
        if processes.is_empty() || timestamp <= last_seen {
            return NOT_FOUND;
        }
        let room = unsafe { n.replace(processes.len() as c_uint) } as usize;
        if room < processes.len() {
            return INSUFFICIENT_SIZE;
        }
        for (i, (pid, _, load)) in processes.into_iter().enumerate() {
            let sample = Sample { pid, timestamp, sm: load, memory: 12, encoder: 3, decoder: 0 };
            unsafe { out.add(i).write(sample) };
        }
        SUCCESS
    })
}
