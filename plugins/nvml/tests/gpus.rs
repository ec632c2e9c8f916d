//! The plugin on a driver without a GPU (`tests/support/nvml_stub.rs`), whose script each test writes.

#[path = "../../../tests/support/nvml.rs"]
mod stub;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alumet::testing::Collect;
use alumet::{
    Agent, Availability, Command, Consumer, ElementState, Host, Interval, Missing, Plugin, Point, Report,
    Series, is_in_container,
};
use alumet_plugin_nvml::{Config, Nvml};
use stub::Stub;

/// What a run came to.
struct Run {
    points: Vec<(Arc<Series>, Point)>,
    report: Report,
    /// From before the application's start to after the end of everything.
    around: Duration,
}

/// An agent that is alone: it would reap the children of others, and the driver tells of the first child.
struct Ready {
    agent: Agent,
    collect: Collect,
    begun: Instant,
    _alone: MutexGuard<'static, ()>,
}

fn config(stub: &Stub) -> Config {
    Config { interval: Interval::from_millis(20), library: Some(stub.path()) }
}

fn ready(stub: &Stub, seconds: f64) -> Ready {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = Instant::now();
    let mut agent = Agent::new();
    agent.launch(&Command::new(["sleep", &seconds.to_string()])).unwrap();
    agent.plugin::<Nvml>(config(stub)).unwrap();
    let collect = Collect::new();
    agent.setup().output("collect", collect.clone());
    Ready { agent, collect, begun, _alone: alone }
}

impl Ready {
    fn run(self) -> Run {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(async { self.agent.start().await.unwrap().wait().await });
        // A call that hangs is not waited for.
        runtime.shutdown_background();
        Run { points: self.collect.points(), report, around: self.begun.elapsed() }
    }
}

/// `sleep` for so long, read every 20 ms; once more if the machine stood still meanwhile.
fn run(stub: &Stub, seconds: f64) -> Run {
    let stood_still = |run: &Run| {
        let asked = (seconds / 0.020) as u64;
        let is_late = |gap: &Missing| gap.what.starts_with("GPUs in the first ");
        run.report.sampling[0].ticks < asked / 2 || run.report.missing.iter().any(is_late)
    };
    let first = ready(stub, seconds).run();
    if stood_still(&first) { ready(stub, seconds).run() } else { first }
}

impl Run {
    /// Every quantity that there was, as `metric{label}` with the label that tells its kinds apart.
    fn quantities(&self, gpu: &str) -> BTreeSet<String> {
        let of_gpu = self.points.iter().filter(|(series, _)| series.resource.id == gpu);
        of_gpu.map(|(series, _)| quantity(series)).collect()
    }

    fn values(&self, gpu: &str, name: &str) -> Vec<f64> {
        let of_it = |series: &Series| series.resource.id == gpu && quantity(series) == name;
        self.points.iter().filter(|(series, _)| of_it(series)).map(|(_, point)| point.value).collect()
    }

    fn sum(&self, gpu: &str, name: &str) -> f64 {
        self.values(gpu, name).iter().sum()
    }

    fn last(&self, gpu: &str, name: &str) -> f64 {
        *self.values(gpu, name).last().unwrap_or_else(|| panic!("no {name} of GPU {gpu}"))
    }

    /// What is missing, but for the resolution of the energy: most runs here are short.
    fn missing(&self) -> Vec<&Missing> {
        let short = ["below the sensor's resolution", "too short for the sensor"];
        let other = |gap: &&Missing| !short.iter().any(|reason| gap.reason.starts_with(reason));
        self.report.missing.iter().filter(other).collect()
    }

    /// The counter is read before the application starts and after it has ended; each time it may be a period of 20 ms
    /// late.
    #[track_caller]
    fn assert_energy(&self, gpu: &str, watts: f64) {
        let energy = self.sum(gpu, "hw.energy");
        let (least, most) = (self.report.wall.as_secs_f64() - 0.021, self.around.as_secs_f64() + 0.021);
        assert!((watts * least..watts * most).contains(&energy), "{energy} J in {least} to {most} s");
    }

    fn method(&self, metric: &str) -> String {
        self.points.iter().find(|(series, _)| series.metric.name == metric).unwrap().0.method.to_string()
    }
}

fn quantity(series: &Series) -> String {
    let kinds = ["hw.gpu.task", "hw.gpu.clock.domain", "hw.gpu.throttle.reason"];
    let mut name = series.metric.name.to_string();
    for kind in kinds.iter().filter_map(|key| series.label_value(key)) {
        name = format!("{name}{{{kind}}}");
    }
    match series.consumer {
        Consumer::Machine => name,
        consumer => format!("{name} of the {}", consumer.kind()),
    }
}

const ON_GPU_0: &str = "process=0:child:500000000:compute";

#[test]
fn two_gpus_are_read_and_the_one_that_the_application_uses_is_told() {
    let run = run(&Stub::new(&format!("watts=100:100 {ON_GPU_0} process=1:1:7:compute")), 0.6);
    assert!(run.missing().is_empty(), "{:?}", run.missing());
    let of_board = [
        "hw.energy",
        "hw.energy.uncertainty",
        "hw.gpu.clock{memory}",
        "hw.gpu.clock{sm}",
        "hw.gpu.memory.limit",
        "hw.gpu.memory.usage",
        "hw.gpu.throttled{hardware}",
        "hw.gpu.throttled{power}",
        "hw.gpu.throttled{setting}",
        "hw.gpu.throttled{sync_boost}",
        "hw.gpu.throttled{thermal}",
        "hw.gpu.used_by_target of the target",
        "hw.gpu.utilization{decoder}",
        "hw.gpu.utilization{encoder}",
        "hw.gpu.utilization{general}",
        "hw.gpu.utilization{memory}",
        "hw.power",
        "hw.temperature",
    ];
    let of_process = [
        "hw.gpu.memory.usage of the process",
        "hw.gpu.memory.usage of the target",
        "hw.gpu.time",
        "hw.gpu.time of the target",
        "hw.gpu.utilization{decoder} of the process",
        "hw.gpu.utilization{encoder} of the process",
        "hw.gpu.utilization{general} of the process",
        "hw.gpu.utilization{memory} of the process",
    ];
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    // Somebody else's process on the other GPU is nobody's business.
    assert_eq!(run.quantities("1"), strings(&of_board));
    assert_eq!(run.quantities("0"), strings(&[&of_board[..], &of_process].concat()));
    assert_eq!(run.last("0", "hw.gpu.used_by_target of the target"), 1.0);
    assert_eq!(run.last("1", "hw.gpu.used_by_target of the target"), 0.0);

    for (gpu, watts) in [("0", 100.0), ("1", 200.0)] {
        run.assert_energy(gpu, watts);
        assert_eq!(run.last(gpu, "hw.power"), watts);
    }
    assert_eq!(run.last("0", "hw.temperature"), 40.0);
    assert_eq!(run.last("0", "hw.gpu.clock{sm}"), 1.41e9);
    assert_eq!(run.last("0", "hw.gpu.memory.limit"), 80e9);
    assert_eq!(run.last("0", "hw.gpu.memory.usage of the process"), 5e8);
    assert_eq!(run.last("0", "hw.gpu.utilization{general} of the process"), 0.4);
    assert_eq!(run.last("0", "hw.gpu.throttled{power}"), 1.0);
    assert_eq!(run.last("1", "hw.gpu.throttled{power}"), 0.0);
    let process =
        run.points.iter().find(|(series, _)| matches!(series.consumer, Consumer::Process(_))).unwrap();
    assert_eq!(process.0.label_value("process.executable.name"), Some("sleep"));
    let about = ["hw.id", "hw.name"].map(|label| process.0.label_value(label).unwrap().to_owned());
    assert_eq!(about, ["GPU-00000000-0000-0000-0000-000000000000", "Stub 9000"]);
}

/// Each function of the library with the quantity that depends on it and the word that is said.
const QUESTIONS: [(&str, &[&str], &str); 13] = [
    ("nvmlDeviceGetTotalEnergyConsumption", &["hw.energy", "hw.energy.uncertainty"], "energy of GPU 0, 1"),
    (
        "nvmlDeviceGetUtilizationRates",
        &["hw.gpu.utilization{general}", "hw.gpu.utilization{memory}"],
        "utilisation of GPU 0, 1",
    ),
    ("nvmlDeviceGetEncoderUtilization", &["hw.gpu.utilization{encoder}"], "encoder utilisation of GPU 0, 1"),
    ("nvmlDeviceGetDecoderUtilization", &["hw.gpu.utilization{decoder}"], "decoder utilisation of GPU 0, 1"),
    ("nvmlDeviceGetMemoryInfo_v2", &["hw.gpu.memory.usage", "hw.gpu.memory.limit"], "memory of GPU 0, 1"),
    ("nvmlDeviceGetClockInfo/SM", &["hw.gpu.clock{sm}"], "SM clock of GPU 0, 1"),
    ("nvmlDeviceGetClockInfo/MEM", &["hw.gpu.clock{memory}"], "memory clock of GPU 0, 1"),
    ("nvmlDeviceGetTemperature", &["hw.temperature"], "temperature of GPU 0, 1"),
    (
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        &[
            "hw.gpu.throttled{power}",
            "hw.gpu.throttled{thermal}",
            "hw.gpu.throttled{hardware}",
            "hw.gpu.throttled{sync_boost}",
            "hw.gpu.throttled{setting}",
        ],
        "throttling of GPU 0, 1",
    ),
    ("nvmlDeviceGetGraphicsRunningProcesses_v3", &[], "graphics processes of GPU 0, 1"),
    (
        "nvmlDeviceGetComputeRunningProcesses_v3",
        &[
            "hw.gpu.memory.usage of the process",
            "hw.gpu.memory.usage of the target",
            "hw.gpu.time",
            "hw.gpu.time of the target",
            "hw.gpu.utilization{general} of the process",
            "hw.gpu.utilization{memory} of the process",
            "hw.gpu.utilization{encoder} of the process",
            "hw.gpu.utilization{decoder} of the process",
        ],
        "compute processes of GPU 0, 1",
    ),
    (
        "nvmlDeviceGetProcessUtilization",
        &[
            "hw.gpu.time",
            "hw.gpu.time of the target",
            "hw.gpu.utilization{general} of the process",
            "hw.gpu.utilization{memory} of the process",
            "hw.gpu.utilization{encoder} of the process",
            "hw.gpu.utilization{decoder} of the process",
        ],
        "utilisation by process of GPU 0",
    ),
    // Nobody of the application is on GPU 1, so its load is not asked for. How a GPU is split is no quantity.
    ("nvmlDeviceGetMigMode", &[], ""),
];

/// Exactly these are missing of each GPU, and exactly this is said.
#[track_caller]
fn assert_missing(run: &Run, all: &BTreeSet<String>, missing: &[&str], word: &str, reason: &str) {
    let expected: BTreeSet<_> =
        all.iter().filter(|name| !missing.contains(&name.as_str())).cloned().collect();
    assert_eq!(run.quantities("0"), expected);
    let said: Vec<_> = run.missing().into_iter().map(|gap| (gap.what.clone(), gap.reason.clone())).collect();
    let words = (!word.is_empty()).then(|| (word.to_owned(), reason.to_owned()));
    assert_eq!(said, Vec::from_iter(words));
}

#[test]
fn what_one_gpu_does_not_offer_is_missing_alone_and_with_a_word() {
    let all = run(&Stub::new(ON_GPU_0), 0.2).quantities("0");
    assert_eq!(all.len(), 26);
    for (function, missing, word) in QUESTIONS {
        let run = run(&Stub::new(&format!("{ON_GPU_0} fail={function}:3")), 0.2);
        assert_missing(&run, &all, missing, word, "this GPU or its mode does not offer it");
    }
}

#[test]
fn what_the_driver_is_too_old_for_is_missing_alone_and_with_a_word() {
    let all = run(&Stub::new(ON_GPU_0), 0.2).quantities("0");
    for (function, missing, word) in QUESTIONS.iter().filter(|(function, ..)| !function.contains('/')) {
        let run = run(&Stub::without(&[function], ON_GPU_0), 0.2);
        assert_missing(&run, &all, missing, word, "the installed driver is too old to tell");
        assert!(run.missing().iter().all(|gap| gap.remedy == "update the NVIDIA driver"));
    }
}

#[test]
fn power_is_that_of_the_instant_where_that_is_offered_and_else_an_average() {
    let method_and_watts = |script: &str| {
        let run = run(&Stub::new(script), 0.1);
        assert!(run.missing().is_empty(), "{:?}", run.missing());
        (run.method("hw.power"), run.last("0", "hw.power"))
    };
    assert_eq!(method_and_watts(""), ("NVML, instant power".into(), 100.0));
    assert_eq!(method_and_watts("fail=nvmlDeviceGetPowerUsage:3"), ("NVML, instant power".into(), 100.0));
    assert_eq!(method_and_watts("fail=field/186:3"), ("NVML, averaged power".into(), 107.0));
    assert_eq!(method_and_watts("fail=nvmlDeviceGetFieldValues:3"), ("NVML, averaged power".into(), 107.0));
    let neither = run(&Stub::new("fail=field/186:3 fail=nvmlDeviceGetPowerUsage:3"), 0.1);
    assert!(!neither.quantities("0").contains("hw.power"));
    assert_eq!(neither.missing()[0].what, "power of GPU 0, 1");
}

#[test]
fn no_energy_is_made_up_from_power() {
    let run = run(&Stub::new("fail=nvmlDeviceGetTotalEnergyConsumption:3"), 0.2);
    assert!(run.quantities("0").contains("hw.power"));
    assert!(!run.quantities("0").contains("hw.energy"));
}

#[test]
fn a_gpu_that_is_lost_on_the_way_leaves_what_it_has_told_and_the_other_goes_on() {
    let run = run(&Stub::new("lost=1:120"), 0.5);
    let missing = run.missing();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].what.starts_with("GPU 1 after "), "{missing:?}");
    assert_eq!(missing[0].reason, "the GPU has fallen off the bus");
    let samples = |gpu| run.values(gpu, "hw.power").len();
    assert!(samples("1") > 0 && samples("1") < samples("0"), "{} and {}", samples("1"), samples("0"));
    // It lacks something, so nobody can say how sure it is.
    assert!(
        run.quantities("1").contains("hw.energy") && !run.quantities("1").contains("hw.energy.uncertainty")
    );
    assert!(run.quantities("0").contains("hw.energy.uncertainty"));
    assert!(run.report.elements.iter().all(|element| element.state == ElementState::Active));
    assert!(run.report.elements.iter().all(|element| element.errors == 0));
}

#[test]
fn a_single_reading_that_fails_is_told_and_the_next_counts_for_both() {
    let run = run(
        &Stub::new("once=nvmlDeviceGetTemperature:999:4 once=nvmlDeviceGetTotalEnergyConsumption:999:9"),
        0.5,
    );
    run.assert_energy("0", 100.0);
    let missing = run.missing();
    assert!(
        missing.iter().any(|gap| gap.what.starts_with("one reading of the temperature of GPU ")),
        "{missing:?}"
    );
    assert!(missing.iter().all(|gap| gap.reason.contains("the driver says: ")), "{missing:?}");
}

#[test]
fn more_processes_than_the_driver_had_announced_spoil_one_sample_only() {
    // The second call is the one that fills the list.
    let stub = Stub::new(&format!("{ON_GPU_0} once=nvmlDeviceGetComputeRunningProcesses_v3:7:1"));
    let run = run(&stub, 0.3);
    assert_eq!(run.last("0", "hw.gpu.used_by_target of the target"), 1.0);
    assert_eq!(run.missing().len(), 1, "{:?}", run.missing());
    assert_eq!(run.missing()[0].what, "one reading of the compute processes of GPU 0");
}

#[test]
fn a_counter_that_starts_anew_makes_one_interval_invalid_and_no_energy_negative() {
    let run = run(&Stub::new("reset=0:250"), 0.5);
    let increases = run.values("0", "hw.energy");
    assert!(increases.iter().all(|joules| (0.0..1000.0).contains(joules)), "{increases:?}");
    let gap = run.missing();
    assert_eq!(gap.len(), 1, "{gap:?}");
    assert!(gap[0].what.starts_with("energy of GPU 0 for ") && gap[0].reason.starts_with("its counter fell"));
    assert!(!run.quantities("0").contains("hw.energy.uncertainty"));
    assert!(run.quantities("1").contains("hw.energy.uncertainty"));
}

#[test]
fn a_counter_that_stands_still_is_no_energy_of_zero() {
    let run = run(&Stub::new("still=0"), 1.2);
    assert!(!run.quantities("0").contains("hw.energy"));
    assert!(run.quantities("1").contains("hw.energy"));
    let gaps: Vec<_> =
        run.missing().into_iter().map(|gap| (gap.what.as_str(), gap.reason.as_str())).collect();
    assert_eq!(gaps, [("energy of GPU 0", "its counter stands still")]);
}

#[test]
fn the_counters_period_is_measured_and_decides_how_well_the_total_is_known() {
    let run = run(&Stub::new(&format!("period=100 {ON_GPU_0}")), 0.5);
    // Five periods.
    let gap = run.report.missing.iter().find(|gap| gap.what.starts_with("energy of GPU 0 to better than ± "));
    let gap = gap.unwrap_or_else(|| panic!("{:?}", run.report.missing));
    assert!(gap.what.contains("its counter advances every ") && gap.what.contains("as seen in this run"));
    // Always in the same words: of repeated runs it is said once.
    assert_eq!(gap.reason, "too short for the sensor");
    // 100 W · 100 ms / √6 on an idle machine.
    let uncertainty = run.last("0", "hw.energy.uncertainty");
    assert!((3.0..12.0).contains(&uncertainty), "{uncertainty} J");
    // Of a GPU that nobody has used nobody needs to hear.
    assert!(!run.report.missing.iter().any(|gap| gap.what.contains("GPU 1")));

    let long = self::run(&Stub::new(&format!("period=20 {ON_GPU_0}")), 1.5);
    assert_eq!(long.report.missing, []);
    assert!(long.last("0", "hw.energy.uncertainty") < uncertainty);
}

#[test]
fn a_driver_that_sleeps_delays_the_application_little_and_is_taken_up_when_it_wakes() {
    let ready = ready(&Stub::new("slow=nvmlInit_v2:600"), 1.5);
    let delay = ready.begun.elapsed();
    assert!(delay < Duration::from_millis(500), "{delay:?}");
    let run = ready.run();
    assert!(run.sum("0", "hw.energy") > 10.0);
    let missing = run.missing();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].what.starts_with("GPUs in the first "), "{missing:?}");
    assert!(missing[0].remedy.contains("nvidia-smi -pm 1"));
    assert!(!run.quantities("0").contains("hw.energy.uncertainty"), "what was before is not known");
}

#[test]
fn a_driver_that_never_answers_ends_nothing() {
    let run = run(&Stub::new("hang=nvmlInit_v2:0"), 0.3);
    assert!(run.around < Duration::from_secs(3), "{:?}", run.around);
    assert_eq!(run.missing().len(), 1);
    assert!(run.missing()[0].reason.starts_with("the driver has not answered within "));
    assert!(run.report.exit.unwrap().is_success());
}

#[test]
fn a_call_that_hangs_ends_neither_the_run_nor_other_sources() {
    let stub = Stub::new("hang=nvmlDeviceGetTemperature:2");
    let mut ready = ready(&stub, 1.0);
    ready.agent.hang_after(Duration::from_millis(200));
    let mut setup = ready.agent.setup();
    let other = setup.series(Series::new(alumet::Metric::gauge("other", "1", ""))).unwrap();
    setup.source("other", Interval::from_millis(20), move |out: &mut alumet::Batch| {
        out.push(other, 1.0);
        Ok(())
    });
    let run = ready.run();
    assert!(run.around < Duration::from_secs(5), "{:?}", run.around);
    let element = |name: &str| run.report.elements.iter().find(|element| element.name == name).unwrap();
    assert_eq!(element("nvml/gpus").state, ElementState::Hung);
    assert_eq!(element("other").state, ElementState::Active);
    assert!(element("other").points > 20, "{}", element("other").points);
}

#[test]
fn a_gpu_in_instances_is_recognised_and_its_energy_is_nobodys() {
    let run = run(&Stub::new(&format!("mig=0 {ON_GPU_0}")), 0.3);
    let gaps: Vec<_> = run.missing().into_iter().map(|gap| gap.what.as_str()).collect();
    let expected = ["utilisation, utilisation by process of GPU 0", "energy of the application on GPU 0"];
    assert_eq!(gaps, expected);
    assert!(run.missing()[1].reason.contains("MIG"));
    // The board's is still measured, and says that it is shared.
    let energy = run.points.iter().find(|(series, _)| series.metric.name == "hw.energy").unwrap();
    assert_eq!((energy.0.consumer, energy.0.label_value("hw.gpu.mig")), (Consumer::Machine, Some("enabled")));
    assert_eq!(run.last("0", "hw.gpu.used_by_target of the target"), 1.0);
}

#[test]
fn loads_of_zero_alone_tell_no_share() {
    let seen = |script: &str| {
        let run = run(&Stub::new(script), 0.4);
        let gap = "the application's share of the energy of GPU 0";
        let is_said = run.missing().iter().any(|missing| missing.what == gap);
        (run.quantities("0").contains("hw.gpu.time of the target"), is_said)
    };
    assert_eq!(seen("process=0:child:1:compute:0 process=0:1:1:compute:0"), (false, true));
    // Somebody was at work, and it was not the application.
    assert_eq!(seen("process=0:child:1:compute:0 process=0:1:1:compute:9"), (true, false));
}

#[test]
fn a_power_that_cannot_be_is_no_value() {
    let run = run(&Stub::new("watts=6000:6000"), 0.2);
    assert!(run.values("0", "hw.power").is_empty());
    let gaps: Vec<_> = run.missing().into_iter().map(|gap| gap.what.as_str()).collect();
    assert!(gaps.iter().any(|what| what.ends_with(" readings of the power of GPU 0")), "{gaps:?}");
}

#[test]
fn a_process_that_computes_and_draws_counts_once() {
    let script = format!("{ON_GPU_0} process=0:child:500000000:graphics process=0:1:900:compute");
    let run = run(&Stub::new(&script), 0.2);
    assert_eq!(run.last("0", "hw.gpu.memory.usage of the process"), 5e8);
    let of_target = run.values("0", "hw.gpu.memory.usage of the target");
    assert_eq!(of_target.iter().copied().fold(0.0, f64::max), 5e8);
    // When the application has ended, it is in no list any more.
    assert_eq!(of_target.last(), Some(&0.0));
}

fn probed(config: &Config, host: &Host) -> Missing {
    match Nvml::probe(config, host) {
        Availability::Unavailable(missing) => missing,
        Availability::Available => panic!("available"),
    }
}

#[test]
fn a_driver_that_cannot_be_used_says_why() {
    assert_eq!(Nvml::probe(&config(&Stub::new("")), &Host::default()), Availability::Available);
    // Elsewhere no such start helps.
    let all_gpus = if is_in_container() { "--gpus all" } else { "" };
    for (script, reason, remedy) in [
        ("fail=nvmlInit_v2:9", "not loaded", "modprobe"),
        ("fail=nvmlInit_v2:18", "different versions", "restart the machine"),
        ("fail=nvmlInit_v2:4", "not permitted", "/dev/nvidia*"),
        ("fail=nvmlInit_v2:17", "cgroup or security module", all_gpus),
        ("fail=nvmlInit_v2:999", "the NVIDIA driver says: an internal driver error", ""),
        ("gpus=0", "finds no GPU", all_gpus),
        ("fail=nvmlDeviceGetHandleByIndex_v2:4", "not permitted", "/dev/nvidia*"),
        ("hang=nvmlInit_v2:0", "has not answered within 3s", "nvidia-smi -pm 1"),
    ] {
        let missing = probed(&config(&Stub::new(script)), &Host::default());
        assert!(missing.reason.contains(reason) && missing.remedy.contains(remedy), "{script}: {missing:?}");
    }
    let missing = probed(&config(&Stub::without(&["nvmlInit_v2"], "")), &Host::default());
    assert!(missing.reason.contains("too old") && missing.remedy.contains("update"), "{missing:?}");
}

#[test]
fn a_library_that_is_not_there_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let host = Host::new(empty.path(), "/proc");
    let config = Config { library: Some(empty.path().join("libnvidia-ml.so.1")), ..Config::default() };
    let missing = probed(&config, &host);
    assert!(
        missing.reason.contains("cannot load nvml.library: ") && missing.reason.contains("libnvidia-ml.so.1")
    );
    // Where there is a driver, this asks it.
    if let Availability::Unavailable(missing) = Nvml::probe(&Config::default(), &host) {
        assert!(!missing.reason.is_empty());
    }
}

#[test]
fn one_gpu_that_may_not_be_used_does_not_hide_the_other() {
    let run = run(&Stub::new("once=nvmlDeviceGetHandleByIndex_v2:4:1"), 0.1);
    assert!(run.quantities("1").is_empty());
    assert!(run.quantities("0").contains("hw.power"));
    assert_eq!(run.missing()[0].what, "GPU 1");
}
