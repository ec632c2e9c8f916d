//! What can be typed. The doc comments are the help texts; what the values mean is decided in `config.rs`.
//!
//! This file imports nothing but clap and std: the man pages and completions are rendered from it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

/// Measure what an application costs: energy, time, CPU, memory, I/O; and whether it got worse.
#[derive(Debug, Parser)]
#[command(
    name = "alumet",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    override_usage = "alumet COMMAND [OPTIONS] ...\n       alumet [OPTIONS OF EXEC] [--] PROGRAM [ARGUMENT]...",
    after_help = "`alumet COMMAND --help`, or `alumet help COMMAND`, describes a command. A first word that is none of \
                  them is the program to measure: `alumet ./app` is `alumet exec ./app`.\n\n\
                  Examples:\n  \
                  alumet ./app --fast                       measure a program\n  \
                  alumet exec -r 10 ./app                   ten times, with the spread\n  \
                  alumet compare './app' './app --fast'     which is better, and by how much\n  \
                  alumet attach 1234                        measure what runs already\n  \
                  alumet doctor                             what can be measured on this machine"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Exec(Exec),
    Attach(Attach),
    Compare(Compare),
    Check(Check),
    Doctor(Doctor),
    Plugins(Plugins),
    Config(Config),
}

/// Launch an application and measure it with everything that it starts.
#[derive(Debug, Args)]
#[command(
    override_usage = "alumet exec [OPTIONS] [--] COMMAND [ARGUMENT]...",
    after_help = "When the application has ended, a summary is printed on stderr. The application has the same standard \
                  streams, environment, limits and signals as without alumet, and alumet ends with its exit status. \
                  With --runs, --warmup, --prepare, --cleanup, --min-time or a parameter it is run repeatedly: then \
                  its output is hidden, and the summary shows the spread of the runs.\n\n\
                  Exit status: that of the application; 128+n if signal n ended it (of SIGINT and SIGQUIT alumet dies, \
                  too, so that Ctrl-C ends a shell's loop); 124 after --timeout; 125 if alumet failed or could not \
                  write an output; 126 if the command cannot be executed; 127 if it was not found; 2 on wrong usage. \
                  With repeated runs: that of the first run that failed, or 0.\n\n\
                  Examples:\n  \
                  alumet exec ./app --fast\n  \
                  alumet exec -e task-clock,page-faults ./app\n  \
                  alumet exec -r 10 --warmup 2 --json runs.json ./app\n  \
                  alumet exec -L threads 1,2,4 ./app --threads {threads}\n  \
                  alumet exec -o series.csv -i 10ms --timeout 5m ./app"
)]
pub struct Exec {
    /// Number of runs
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, help_heading = "Repeated runs")]
    pub runs: Option<usize>,

    /// Least total time of all runs; there are at least --runs of them (default: 10)
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = "Repeated runs")]
    pub min_time: Option<String>,

    #[command(flatten)]
    pub varying: Varying,

    #[command(flatten)]
    pub repeating: Repeating,

    #[command(flatten)]
    pub launching: Launching,

    #[command(flatten)]
    pub outputs: Outputs,

    #[command(flatten)]
    pub tables: Tables,

    #[command(flatten)]
    pub settings: Settings,

    /// The application and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// How an application is launched.
#[derive(Debug, Args)]
pub struct Launching {
    /// End the application and all that it started after this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub timeout: Option<String>,

    /// Measure until the last process of the application has ended
    #[arg(long)]
    pub wait_all: bool,

    /// Run it as USER or USER:GROUP, by name or number; needs root
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,

    /// Run the command through this shell (`default`: sh; `none`)
    #[arg(short = 'S', long, value_name = "SHELL")]
    pub shell: Option<OsString>,

    /// Measure the machine's idle power for this time before the start
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub idle: Option<String>,

    /// Accept failures (or only these statuses): go on, and end with 0
    #[arg(long, value_name = "STATUSES", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ignore_failure: Option<String>,
}

/// Where what several runs came to is written to.
#[derive(Debug, Args)]
pub struct Tables {
    /// Write a table for a pull request to FILE, as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,

    /// Write a row for each version and quantity to FILE, as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write the verdict to FILE, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// Write the metrics to FILE, as OpenMetrics
    #[arg(long, value_name = "FILE")]
    pub openmetrics: Option<PathBuf>,
}

/// What varies from run to run.
#[derive(Debug, Args)]
pub struct Varying {
    /// Run the command for each of these comma-separated values of {NAME} in it; can be repeated
    #[arg(short = 'L', long, num_args = 2, value_names = ["NAME", "VALUES"], help_heading = "Repeated runs")]
    pub parameter_list: Vec<String>,

    /// Run the command for each number from MIN to MAX as {NAME} in it; can be repeated
    #[arg(short = 'P', long, num_args = 3, value_names = ["NAME", "MIN", "MAX"], allow_negative_numbers = true, help_heading = "Repeated runs")]
    pub parameter_scan: Vec<String>,

    /// Step of --parameter-scan
    #[arg(
        short = 'D',
        long,
        value_name = "STEP",
        default_value = "1",
        requires = "parameter_scan",
        help_heading = "Repeated runs"
    )]
    pub parameter_step_size: String,
}

/// What happens around each of several runs.
#[derive(Debug, Args)]
pub struct Repeating {
    /// Number of warm-up runs, not counted
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, help_heading = "Repeated runs")]
    pub warmup: Option<usize>,

    /// Shell command to execute before each run
    #[arg(long, value_name = "COMMAND", help_heading = "Repeated runs")]
    pub prepare: Option<String>,

    /// Shell command to execute after the last run
    #[arg(long, value_name = "COMMAND", help_heading = "Repeated runs")]
    pub cleanup: Option<String>,

    /// Show the output of the application (same as --app-output inherit)
    #[arg(long, help_heading = "Repeated runs")]
    pub show_output: bool,

    /// Where its output goes: pipe (discarded; the default), null (/dev/null), inherit, or FILE
    #[arg(
        long,
        value_name = "WHERE",
        value_hint = ValueHint::FilePath,
        conflicts_with = "show_output",
        help_heading = "Repeated runs"
    )]
    pub app_output: Option<AppOutput>,
}

/// Where the output of the application goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppOutput {
    /// To a pipe that alumet empties.
    Pipe,
    /// To /dev/null.
    Null,
    /// Where alumet's own goes.
    Inherit,
    File(PathBuf),
}

impl From<OsString> for AppOutput {
    fn from(text: OsString) -> Self {
        match text.to_str() {
            Some("pipe") => Self::Pipe,
            Some("null") => Self::Null,
            Some("inherit" | "-") => Self::Inherit,
            _ => Self::File(text.into()),
        }
    }
}

/// Compare versions of a program: commands, or profiles that `exec --json` has written.
#[derive(Debug, Args)]
#[command(
    override_usage = "alumet compare [OPTIONS] A B [C]...\n       alumet compare [OPTIONS] -L NAME VALUES COMMAND...",
    after_help = "Commands run in turn, in the order A B, B A, A B, ..., so that a change of the machine over time affects \
                  all of them. Each version is compared to the first. Energy decides if it was measured, else CPU time, \
                  else instructions; a version that is shown to take longer by more than the threshold fails as well.\n\n\
                  Exit status: 0 if no version costs more than the first by more than the threshold; 3 if one does; 4 if that \
                  cannot be told; 125 if there is nothing valid to compare, or too little to decide anything; 128+n if \
                  signal n interrupted it; 126 and 127 as for exec; 2 on wrong usage.\n\n\
                  Examples:\n  \
                  alumet compare './app' './app --fast'\n  \
                  alumet compare --pairs 30 --gate cpu,memory=5% ./old ./new\n  \
                  alumet compare -n old -n new ./old ./new\n  \
                  alumet compare -L n 1,2,4 './app --threads {n}'\n  \
                  alumet compare monday.json today.json"
)]
pub struct Compare {
    /// Commands, each as one word, or profiles
    #[arg(required = true, num_args = 1.., value_name = "VERSION")]
    pub versions: Vec<OsString>,

    /// What a version is called; once for each, in their order
    #[arg(short, long, value_name = "NAME", help_heading = "Comparison")]
    pub name: Vec<String>,

    #[command(flatten)]
    pub comparing: Comparing,

    #[command(flatten)]
    pub varying: Varying,

    #[command(flatten)]
    pub repeating: Repeating,

    #[command(flatten)]
    pub launching: Launching,

    #[command(flatten)]
    pub settings: Settings,
}

/// Gate a pipeline: fail if the command costs more than a baseline.
#[derive(Debug, Args)]
#[command(
    override_usage = "alumet check [OPTIONS] --baseline-cmd COMMAND [--] COMMAND [ARGUMENT]...\n       \
                      alumet check [OPTIONS] --baseline PROFILE [--] COMMAND [ARGUMENT]...",
    after_help = "The baseline is a command, which runs in turn with the other one, or a profile from `exec --json` on the \
                  same machine, which takes a threshold of at least 5 %.\n\n\
                  Exit status: 0 passed; 3 regression; 4 inconclusive (see --inconclusive); 125 if there is nothing valid \
                  to compare, too little to decide anything, or an output could not be written; 128+n if signal n \
                  interrupted it; 126 and 127 as for exec; 2 on wrong usage.\n\n\
                  Examples:\n  \
                  alumet check --baseline-cmd 'git-main/app' ./app\n  \
                  alumet check --baseline main.json --gate cpu=5% --junit verdict.xml ./app"
)]
pub struct Check {
    /// Profile to compare with
    #[arg(long, value_name = "PROFILE")]
    pub baseline: Option<PathBuf>,

    /// Command to compare with
    #[arg(long, value_name = "COMMAND", conflicts_with = "baseline")]
    pub baseline_cmd: Option<String>,

    #[command(flatten)]
    pub comparing: Comparing,

    #[command(flatten)]
    pub repeating: Repeating,

    #[command(flatten)]
    pub launching: Launching,

    #[command(flatten)]
    pub settings: Settings,

    /// The application and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// How versions are compared, and where that is written to.
#[derive(Debug, Args)]
pub struct Comparing {
    /// Number of pairs of runs, at least 5 (with --adaptive the largest number, at least 20) [default: 10; adaptive: 40]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Comparison")]
    pub pairs: Option<usize>,

    /// Largest increase that is no regression
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "2%",
        allow_hyphen_values = true,
        help_heading = "Comparison"
    )]
    pub threshold: String,

    /// Accepted probability of a wrong verdict
    #[arg(
        long,
        value_name = "P",
        default_value = "0.05",
        allow_hyphen_values = true,
        help_heading = "Comparison"
    )]
    pub alpha: String,

    /// Metrics that decide, and no others: energy, cpu, time, memory, instructions, gpu or an event; each can have its own
    /// threshold, as in energy=2%,time=5%
    #[arg(long, visible_alias = "metric", value_name = "METRICS", help_heading = "Comparison")]
    pub gate: Option<String>,

    /// Stop as soon as there is a verdict
    #[arg(long, help_heading = "Comparison")]
    pub adaptive: bool,

    /// Start no further pair after this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = "Comparison")]
    pub max_time: Option<String>,

    /// Result of an inconclusive comparison: pass or fail
    #[arg(long, value_name = "VERDICT", value_parser = ["pass", "fail"], help_heading = "Comparison")]
    pub inconclusive: Option<String>,

    /// Decide by measured energy only, or fail
    #[arg(long, help_heading = "Comparison")]
    pub require_measured: bool,

    /// Events to count, as in `perf list` (comma-separated; repeatable)
    #[arg(short, long, value_name = "EVENTS", allow_hyphen_values = true, help_heading = "Comparison")]
    pub event: Vec<String>,

    /// Write the comparison to FILE, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Comparison")]
    pub json: Option<PathBuf>,

    #[command(flatten)]
    pub tables: Tables,

    /// Print nothing but errors
    #[arg(short, long, help_heading = "Comparison")]
    pub quiet: bool,
}

/// Measure running processes, with everything that they start.
///
/// All threads and all living descendants of each PID are measured from now on, and whatever they create later. They are
/// never stopped, traced or signalled.
#[derive(Debug, Args)]
#[command(
    override_usage = "alumet attach [OPTIONS] PID...\n       alumet attach [OPTIONS] --name PATTERN",
    after_help = "The measurement ends with the last of the processes, after --duration, on Ctrl-C, or on any other signal \
                  that ends a process, always with a report. Counters count from the moment of attaching.\n\n\
                  Exit status: 0; 125 if nothing could be measured, alumet failed or could not write an output; 2 on \
                  wrong usage.\n\n\
                  Examples:\n  \
                  alumet attach 1234 --duration 10s\n  \
                  alumet attach --name '^postgres' --per-process -o series.csv"
)]
pub struct Attach {
    /// Processes to measure
    #[arg(value_name = "PID", required_unless_present = "name", allow_negative_numbers = true)]
    pub pid: Vec<String>,

    /// Measure all processes whose command name matches this regular expression, as pgrep does
    #[arg(long, value_name = "PATTERN")]
    pub name: Option<String>,

    /// Stop measuring after this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub duration: Option<String>,

    /// Measure until the last descendant has ended, too
    #[arg(long)]
    pub wait_all: bool,

    #[command(flatten)]
    pub outputs: Outputs,

    #[command(flatten)]
    pub settings: Settings,
}

/// Find out what can be measured on this machine, how well, and what would change that.
///
/// Everything is tried, which takes about two seconds.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if anything can be measured; 125 if nothing can, or the idle power could not be \
                  measured or saved; 2 on wrong usage.\n\n\
                  Examples:\n  \
                  alumet doctor\n  \
                  alumet doctor --save-idle=30s             once, while the machine is quiet"
)]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Measure the idle power of this machine, which must be quiet, for 5s or this time, and save it for later runs
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "5s")]
    pub save_idle: Option<String>,

    #[command(flatten)]
    pub settings: Settings,
}

/// List the plugins: what can be measured here, what cannot, and why.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  alumet plugins\n  alumet plugins --json")]
pub struct Plugins {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: Settings,
}

/// Show the configuration in force and where each value comes from.
///
/// The first of ./alumet.toml, $XDG_CONFIG_HOME/alumet/alumet.toml (or ~/.config/alumet/alumet.toml) and
/// /etc/alumet/alumet.toml that exists is read. Environment variables (ALUMET_INTERVAL, ALUMET_PROCFS_INTERVAL, ...)
/// count more than the file, flags more than both. ALUMET_LOG is no setting of these: with ALUMET_LOG=debug every command
/// says on stderr what it decides, and why.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  alumet config\n  alumet config --config ci.toml --set procfs.interval=1s"
)]
pub struct Config {
    #[command(flatten)]
    pub settings: Settings,
}

/// What is reported, and where to.
#[derive(Debug, Args)]
pub struct Outputs {
    /// Events to count, as in `perf list` (comma-separated; repeatable)
    #[arg(short, long, value_name = "EVENTS", allow_hyphen_values = true)]
    pub event: Vec<String>,

    /// Write every point to FILE, as CSV (repeated runs: FILE-1, ...)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Write the totals of the runs to FILE (`-`: stdout), as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Show the CO2 of the energy, at this many grams per kWh
    #[arg(long, value_name = "GRAMS", allow_negative_numbers = true)]
    pub carbon: Option<String>,

    /// Show the cost of the energy, at this price per kWh
    #[arg(long, value_name = "PRICE", allow_negative_numbers = true)]
    pub price: Option<String>,

    /// Show a table of the processes
    #[arg(long)]
    pub per_process: bool,

    /// Show a table of the threads
    #[arg(long)]
    pub per_thread: bool,

    /// Number of rows in each of these tables
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true)]
    pub top: usize,

    /// Print no summary
    #[arg(short, long)]
    pub quiet: bool,

    /// Show more details
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
}

#[derive(Debug, Args)]
pub struct Settings {
    /// Time between two readings, 100us or more [default: each plugin's]
    #[arg(short, long, value_name = "DURATION", help_heading = "Settings", allow_hyphen_values = true)]
    pub interval: Option<String>,

    /// Use only these plugins (comma-separated) [default: all that are available]
    #[arg(long, value_name = "NAMES", help_heading = "Settings")]
    pub plugins: Option<String>,

    /// Do not use these plugins (comma-separated)
    #[arg(long, value_name = "NAMES", help_heading = "Settings")]
    pub without: Option<String>,

    /// Set an option of a plugin, as in procfs.interval=1s; can be repeated
    #[arg(long, value_name = "PLUGIN.KEY=VALUE", help_heading = "Settings")]
    pub set: Vec<String>,

    /// Read this configuration file, and no other
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub config: Option<PathBuf>,

    /// Directory to read instead of /sys
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    pub sysfs: Option<PathBuf>,

    /// Directory to read instead of /proc for what concerns the machine
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    pub procfs: Option<PathBuf>,
}
