//! Whatever is wrong with what was typed or configured is said in one line, and nothing is run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use support::{Alumet, is_root};

/// Sets alumet up to run an application that would leave a file.
fn exec(options: &[&str]) -> Alumet {
    Alumet::new(["exec"].iter().chain(options).chain(&["touch", "started"]))
}

/// The same as an ordinary user, in a directory that everybody can write to; needs root.
fn as_nobody(options: &[&str]) -> Alumet {
    Alumet::as_nobody("exec \"$@\"", &[&["exec"], options, &["touch", "started"]].concat())
}

/// It refuses with this status and one line that has all of these in it; nothing was run and nothing written.
#[track_caller]
fn refused(mut alumet: Alumet, status: i32, says: &[&str]) {
    let names = |alumet: &Alumet| std::fs::read_dir(alumet.path("")).unwrap().count();
    let before = names(&alumet);
    let done = alumet.run().refuses(status, "");
    for text in says {
        assert!(done.stderr.contains(text), "not found: {text}\n{}", done.stderr);
    }
    assert!(done.stderr.len() < 300, "long: {}", done.stderr);
    assert_eq!(names(&alumet), before, "something was written: {}", done.stderr);
}

#[test]
fn unknown_plugins_are_named_with_the_nearest() {
    for options in [&["--plugins", "procsf"][..], &["--without", "procsf"], &["--plugins", "csv,procsf"]] {
        refused(exec(options), 2, &["no plugin named `procsf`; did you mean `procfs`?", "`alumet plugins`"]);
    }
    refused(
        exec(&["--set", "procsf.interval=1s"]),
        2,
        &["--set: no plugin named `procsf`; did you mean `procfs`?"],
    );
    refused(exec(&["--plugins", "energy-of-everything"]), 2, &["no plugin named `energy-of-everything` ("]);
    refused(exec(&["--plugins", ""]), 2, &["no plugin named ``"]);
}

#[test]
fn unknown_keys_are_named_with_the_nearest_and_their_place() {
    let says = "unknown key `intervall` in [procfs]; did you mean `interval`? Valid: ";
    refused(exec(&["--set", "procfs.intervall=1s"]), 2, &["--set: ", says]);
    refused(exec(&[]).env("ALUMET_PROCFS_INTERVALL", "1s"), 2, &["ALUMET_PROCFS_INTERVALL: ", says]);
    refused(
        exec(&[]).env("ALUMET_QUITE", "true"),
        2,
        &["ALUMET_QUITE: unknown key `quite`; did you mean `quiet`?"],
    );
    // What is near nothing is another program's.
    for (name, value) in [("ALUMET_X", "1"), ("ALUMET_RAPL_HOME", "/x"), ("ALUMET_BUILD_NUMBER", "7")] {
        let done = exec(&[]).env(name, value).run().status(0);
        let first = done.stderr.lines().next().unwrap();
        assert_eq!(
            first,
            format!(
                "alumet: ignored {name}: there is no such setting (the options of `alumet exec --help` are, in capitals)"
            )
        );
    }
    let alumet = exec(&[]);
    alumet.write("alumet.toml", "quiet = true\n\n[procfs]\n  intervall = \"1s\"\n");
    refused(alumet, 2, &["alumet.toml:4:3: ", says]);
    let alumet = exec(&["--config", "other.toml"]);
    alumet.write("other.toml", "quite = true\n");
    refused(alumet, 2, &["other.toml:1:1: unknown key `quite`; did you mean `quiet`?"]);
    let alumet = exec(&[]);
    alumet.write("alumet.toml", "[procsf]\ninterval = \"1s\"\n");
    refused(alumet, 2, &["alumet.toml:2:1: no plugin named `procsf`; did you mean `procfs`?"]);
}

#[test]
fn values_of_the_wrong_kind_are_named_with_their_place() {
    refused(exec(&["--set", "procfs.interval"]), 2, &["--set procfs.interval: write it as PLUGIN.KEY=VALUE"]);
    refused(exec(&["--set", "interval=1s"]), 2, &["write it as PLUGIN.KEY=VALUE"]);
    refused(
        exec(&["--set", "procfs.per_process=perhaps"]),
        2,
        &["--set: procfs.per_process: ", "expected true or false"],
    );
    refused(
        exec(&[]).env("ALUMET_INTERVAL", "soon"),
        2,
        &["ALUMET_INTERVAL: interval: `soon` is not a duration"],
    );
    refused(exec(&[]).env("ALUMET_PLUGINS", "procsf"), 2, &["no plugin named `procsf`"]);
    let alumet = exec(&[]);
    alumet.write("alumet.toml", "timeout = 5\n");
    refused(alumet, 2, &["alumet.toml:1:1: timeout: ", "integer `5`"]);
    let alumet = exec(&[]);
    alumet.write("alumet.toml", "quiet = \"yes\"\n");
    refused(alumet, 2, &["alumet.toml:1:1: quiet: ", "expected true or false"]);
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    refused(exec(&["--config", "no.toml"]), 2, &["cannot read the configuration no.toml: no such file"]);
    refused(exec(&["--config", "/"]), 2, &["cannot read the configuration /: is a directory"]);
    refused(
        exec(&[]).env("ALUMET_CONFIG", "no.toml"),
        2,
        &["cannot read the configuration no.toml: no such file"],
    );
    let alumet = exec(&["--config", "x.toml"]);
    std::fs::write(alumet.path("x.toml"), b"# \xff\n").unwrap();
    refused(alumet, 2, &["cannot read the configuration x.toml: it is not valid UTF-8"]);
    for (text, place) in [("[procfs\n", ":1:8: "), ("quiet = true\nx =\n", ":2:"), ("a = [\n\n\"", ":3:")] {
        let alumet = exec(&[]);
        alumet.write("alumet.toml", text);
        refused(alumet, 2, &[&format!("alumet.toml{place}")]);
    }
}

#[test]
fn impossible_durations_are_refused() {
    for interval in ["0", "0s", "99us", "1ns"] {
        refused(exec(&["-i", interval]), 2, &["--interval: ", "too short; the shortest is 100us"]);
    }
    for interval in ["-1s", "abc", "", "1", "1 parsec", "99999999999999999999s"] {
        refused(exec(&["-i", interval]), 2, &["--interval: ", "is not a duration; write it with a unit"]);
        refused(exec(&[&format!("--timeout={interval}")]), 2, &["--timeout: ", "is not a duration"]);
    }
    refused(exec(&["--timeout", "0"]), 2, &["--timeout: it must be longer than 0"]);
    // A month to some, a minute to others.
    for option in ["--interval", "--timeout", "--min-time", "--idle"] {
        let says = format!("{option}: `1M` is not clear; write `m` for minutes, `month` for months");
        refused(exec(&[option, "1M"]), 2, &[&says]);
    }
}

#[test]
fn no_command_and_unknown_flags_are_wrong_usage() {
    refused(Alumet::new(["exec"]), 2, &["COMMAND"]);
    refused(Alumet::new(["exec", "-q", "--"]), 2, &["COMMAND"]);
    refused(
        exec(&["--timout", "1s"]),
        2,
        &["there is no option `--timout`; did you mean `--timeout`?", "`alumet exec --help`"],
    );
    refused(Alumet::new(["exec", "-o"]), 2, &["--output"]);
    refused(exec(&["--json", ""]), 2, &["--json"]);
    refused(exec(&["-o", "a", "-o", "b"]), 2, &["--output"]);
    refused(Alumet::new(["exce", "true"]), 2, &["`exce` is no command of alumet", "did you mean `exec`?"]);
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_anything_runs() {
    for option in ["-o", "--json"] {
        let what = if option == "-o" { "series" } else { "the profile" };
        let start = |path: &str| format!("cannot write {what} to {path}: ");
        refused(exec(&[option, "no/x"]), 125, &[&(start("no/x") + "there is no directory no")]);
        refused(exec(&[option, "."]), 125, &[&(start(".") + "it is a directory")]);
        refused(
            exec(&[option, "/proc/version/x"]),
            125,
            &[&(start("/proc/version/x") + "/proc/version is not a dir")],
        );
        // What only shows when it is tried is at least said at the end.
        exec(&["-q", option, "/proc/x"]).run().refuses(125, &start("/proc/x"));
        exec(&[option, &"x".repeat(256)]).run().refuses(125, "xxx: file name too long");
    }
}

#[test]
fn outputs_where_the_user_may_not_write_are_refused() {
    if !is_root("outputs_where_the_user_may_not_write_are_refused") {
        return;
    }
    for option in ["-o", "--json"] {
        refused(as_nobody(&[option, "/etc/x"]), 125, &["to /etc/x: permission denied"]);
        refused(as_nobody(&[option, "/root/x"]), 125, &["to /root/x: permission denied"]);
        let alumet = as_nobody(&[option, "mine"]);
        alumet.write("mine", "root's\n");
        refused(alumet, 125, &["to mine: permission denied"]);
    }
    // The control: where it may, it does.
    let mut alumet = as_nobody(&["-q", "-o", "s.csv", "--json", "p.json"]);
    alumet.run().status(0);
    assert!(
        alumet.path("started").exists() && alumet.path("s.csv").exists() && alumet.path("p.json").exists()
    );
}

/// Whoever has made the directory could otherwise have root write over any file.
#[test]
fn root_writes_through_no_link_of_somebody_else() {
    if !is_root("root_writes_through_no_link_of_somebody_else") {
        return;
    }
    let prepared = |mut alumet: Alumet| {
        std::fs::create_dir(alumet.path("theirs")).unwrap();
        std::fs::create_dir(alumet.path("etc")).unwrap();
        symlink("../etc", alumet.path("theirs/results")).unwrap();
        symlink("../etc/s.csv", alumet.path("theirs/s.csv")).unwrap();
        chown(alumet.path("theirs"), Some(4242), None).unwrap();
        alumet.write("etc/s.csv", "precious");
        alumet.command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", "theirs/results/s.csv");
        alumet
    };
    for (options, link) in [
        (&["-o", "theirs/results/s.csv"][..], "theirs/results is"),
        (&["-o", "theirs/s.csv"], "it is"),
        (&["--json", "theirs/results/s.csv"], "theirs/results is"),
        (&["-r", "2", "--app-output", "theirs/s.csv"], "it is"),
    ] {
        let alumet = prepared(exec(options));
        let etc = alumet.path("etc/s.csv");
        let says = format!("{link} a symbolic link where others can write; as root, name the file itself");
        refused(alumet, 125, &["cannot write ", options[options.len() - 1], &says]);
        assert!(!etc.exists(), "the directory of the run is gone");
    }
    // Of a comparison, what was there before would be removed, and the step's summary appended to.
    let compare = ["compare", "--pairs=5", "true", "true", "--json", "theirs/results/s.csv"];
    let mut alumet = prepared(Alumet::new(compare));
    alumet.run().refuses(125, "theirs/results is a symbolic link");
    assert_eq!(alumet.read("etc/s.csv"), "precious");
    let mut alumet = prepared(Alumet::new(&compare[..4]));
    alumet
        .run()
        .says("cannot write the step's summary to theirs/results/s.csv: theirs/results is a symbolic link");
    assert_eq!(alumet.read("etc/s.csv"), "precious");
}

#[test]
fn two_outputs_cannot_share_a_file() {
    let says = ["-o and --json both name ", "give each its own file"];
    refused(exec(&["-o", "x", "--json", "x"]), 2, &says);
    refused(exec(&["-o", "x", "--json", "./x"]), 2, &says);
    refused(exec(&["-o", "x", "--json", "../link/x"]), 125, &["there is no directory ../link"]);
    let alumet = exec(&["-o", "link", "--json", "x"]);
    alumet.write("x", "");
    symlink("x", alumet.path("link")).unwrap();
    refused(alumet, 2, &says);
    let alumet = exec(&["-o", "d/x", "--json", "x"]);
    symlink(".", alumet.path("d")).unwrap();
    refused(alumet, 2, &says);
    let alumet = exec(&["-o", "dangling", "--json", "x"]);
    symlink("x", alumet.path("dangling")).unwrap();
    refused(alumet, 2, &says);
    exec(&["-q", "-o", "/dev/null", "--json", "/dev/null"]).run().status(0);
    // Two names of one file are no trouble: the profile's becomes a new file.
    let mut alumet = exec(&["-q", "-o", "a", "--json", "b"]);
    alumet.write("a", "");
    std::fs::hard_link(alumet.path("a"), alumet.path("b")).unwrap();
    alumet.run().status(0);
    assert!(!alumet.rows("a").is_empty() && alumet.profile("b")["runs"].is_array());
}

#[test]
fn an_output_needs_its_plugin() {
    refused(
        exec(&["--without", "csv", "-o", "x"]),
        2,
        &["-o needs the csv plugin, which --without leaves out"],
    );
    // To ask for a file is to ask for its plugin.
    let mut alumet = exec(&["-q", "--plugins", "procfs", "-o", "x"]);
    alumet.run().status(0);
    assert!(!alumet.rows("x").is_empty());
}

#[test]
fn users_that_do_not_exist_or_cannot_be_become_are_refused() {
    refused(exec(&["--user", "no-such-user"]), 2, &["there is no user `no-such-user`"]);
    if is_root("users_that_cannot_be_become_are_refused") {
        let says = ["cannot become user `root`: only root may; run alumet with sudo, or without --user"];
        refused(as_nobody(&["--user", "root"]), 125, &says);
        let says =
            ["there is no user 3999999999 that has a group; name one, as in `--user 3999999999:3999999999`"];
        refused(exec(&["--user", "3999999999"]), 2, &says);
        refused(exec(&["--user", "3999999999:no-such-group"]), 2, &["there is no group `no-such-group`"]);
        // What root may not do either.
        let mut without = Alumet::sh(
            "exec setpriv --bounding-set=-setuid \"$@\"",
            &["exec", "--user", "4242:4242", "true"],
        );
        without.run().refuses(125, "cannot become user `4242:4242`: operation not permitted");
    }
}

#[test]
fn a_plugin_asked_for_by_name_must_work_and_others_are_listed_as_missing() {
    let options = ["--procfs", "/no/such"];
    let reason = [
        "cannot open /no/such/stat",
        "mount the proc file system there, or name another place with --procfs",
    ];
    let by_name = [&["plugin `procfs` cannot be used here: "], &reason[..]].concat();
    refused(exec(&[&options[..], &["--plugins", "procfs"]].concat()), 125, &by_name);

    let mut alumet = exec(&[&options[..], &["-v", "--json", "p.json"]].concat());
    let done = alumet.run().status(0).says("not measured: CPU time, memory");
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(reason.iter().all(|part| text.contains(part)), "{text}");
    assert!(alumet.path("started").exists());
    let source = &alumet.profile("p.json")["sources"][0];
    assert_eq!((&source["name"], &source["status"]), (&"procfs".into(), &"unavailable".into()));
    assert!(source["reason"].as_str().unwrap().contains(reason[0]) && source["remedy"] == reason[1]);
}

/// The line of a key in what `alumet config` prints, of all plugins or of the procfs plugin, without the spaces.
fn shown(alumet: &mut Alumet, key: &str) -> String {
    let text = alumet.run().status(0).stdout;
    let text = text.split("[procfs]").nth(usize::from(key == "per_process")).unwrap();
    let line =
        text.lines().find(|line| line.starts_with(&format!("{key} ="))).unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_flag_counts_more_than_the_environment_and_that_more_than_the_file() {
    let config = |options: &[&str]| Alumet::new([&["config"], options].concat());
    assert_eq!(shown(&mut config(&[]), "quiet"), "quiet = false # default");
    let file = "interval = \"7s\"\n[procfs]\nper_process = true\n";
    let mut alumet = config(&[]);
    alumet.write("alumet.toml", file);
    assert_eq!(shown(&mut alumet, "interval"), "interval = \"7s\" # alumet.toml:1:1");
    assert_eq!(shown(&mut alumet, "per_process"), "per_process = true # alumet.toml:3:1");
    let mut alumet = config(&[]).env("ALUMET_INTERVAL", "8s").env("ALUMET_PROCFS_PER_PROCESS", "false");
    alumet.write("alumet.toml", file);
    assert_eq!(shown(&mut alumet, "interval"), "interval = \"8s\" # ALUMET_INTERVAL");
    assert_eq!(shown(&mut alumet, "per_process"), "per_process = false # ALUMET_PROCFS_PER_PROCESS");
    let mut alumet = config(&["-i", "9s", "--set", "procfs.per_process=true"]).env("ALUMET_INTERVAL", "8s");
    alumet.write("alumet.toml", file);
    assert_eq!(shown(&mut alumet, "interval"), "interval = \"9s\" # --interval");
    assert_eq!(shown(&mut alumet, "per_process"), "per_process = true # --set");
    assert_eq!(alumet.read("alumet.toml"), file);
    assert_eq!(std::fs::read_dir(alumet.path("")).unwrap().count(), 1, "something was written");
}

#[test]
fn the_first_file_that_exists_is_read_and_no_other() {
    let mut alumet = Alumet::new(["config"]);
    std::fs::create_dir_all(alumet.path("xdg/alumet")).unwrap();
    alumet.write("xdg/alumet/alumet.toml", "quiet = true\n");
    assert!(shown(&mut alumet, "quiet").starts_with("quiet = true # /"));
    alumet.write("alumet.toml", "wait_all = true\n");
    assert_eq!(shown(&mut alumet, "quiet"), "quiet = false # default");
    alumet.write("named.toml", "");
    let mut alumet = alumet.env("ALUMET_CONFIG", "named.toml");
    assert_eq!(shown(&mut alumet, "wait_all"), "wait_all = false # default");
}

#[test]
fn root_does_not_believe_a_configuration_that_others_could_have_written() {
    if !is_root("root_does_not_believe_a_configuration_that_others_could_have_written") {
        return;
    }
    type Spoil = fn(&Path);
    let spoilt: [(Spoil, &str); 5] = [
        (|path| chown(path, Some(65534), None).unwrap(), "it belongs to uid 65534"),
        (
            |path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o646)).unwrap(),
            "it can be written by others",
        ),
        (
            |path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o664)).unwrap(),
            "it can be written by others",
        ),
        (
            |path| {
                std::fs::rename(path, path.with_extension("real")).unwrap();
                symlink("alumet.real", path).unwrap();
            },
            "it is a symbolic link",
        ),
        (
            |path| {
                std::fs::set_permissions(path.parent().unwrap(), PermissionsExt::from_mode(0o777)).unwrap()
            },
            "HERE can be written by others",
        ),
    ];
    for (spoil, why) in spoilt {
        let start = |options: &[&str]| {
            let alumet = exec(&[&["-q"], options].concat());
            alumet.write("alumet.toml", "this is not = even TOML\n");
            spoil(&alumet.path("alumet.toml"));
            alumet
        };
        let mut alumet = start(&[]);
        let why = why.replace("HERE", alumet.path("").canonicalize().unwrap().to_str().unwrap());
        let notice = format!(
            "alumet: ignored alumet.toml: alumet runs as root and {why}; name it with --config to use it"
        );
        alumet.run().status(0).only_says(&notice);
        assert!(alumet.path("started").exists());
        // Named, it is read.
        refused(start(&["--config", "alumet.toml"]), 2, &["alumet.toml:1:"]);
    }
}

#[test]
fn an_ordinary_user_is_believed() {
    if !is_root("an_ordinary_user_is_believed") {
        return;
    }
    let alumet = as_nobody(&[]);
    alumet.write("alumet.toml", "quite = true\n");
    refused(alumet, 2, &["alumet.toml:1:1: unknown key `quite`"]);
}

#[test]
fn plugins_are_listed_as_a_table_and_as_json() {
    let mut alumet = Alumet::new(["plugins", "--json", "--procfs", "/no/such", "--without", "csv"]);
    let done = alumet.run().status(0);
    assert_eq!(done.stderr, "");
    let rows: Vec<serde_json::Map<_, _>> = serde_json::from_str(&done.stdout).unwrap();
    for row in &rows {
        let fields: Vec<_> = row.keys().map(String::as_str).collect();
        assert_eq!(fields.len(), 5, "{fields:?}");
        assert!(["name", "about", "status", "reason", "remedy"].iter().all(|field| row[*field].is_string()));
    }
    let status = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap()["status"].clone();
    assert_eq!((status("procfs"), status("csv")), ("unavailable".into(), "excluded".into()));

    let done = Alumet::new(["plugins"]).run().status(0);
    assert!(
        done.stdout.lines().any(|line| line.split_whitespace().take(2).eq(["procfs", "available"])),
        "{done:?}"
    );
}

#[test]
fn plugins_and_doctor_say_the_same_of_each_source() {
    let json = |command: &str| -> serde_json::Value {
        serde_json::from_str(&Alumet::new([command, "--json", "--without", "nvml"]).run().stdout).unwrap()
    };
    let (plugins, findings) = (json("plugins"), json("doctor"));
    let sources = findings["sources"].as_array().unwrap();
    assert!(sources.len() >= 5, "{sources:?}");
    // Whether an estimate is needed, and possible, shows only while it is watched.
    for source in sources.iter().filter(|source| source["name"] != "estimate") {
        let row = plugins.as_array().unwrap().iter().find(|row| row["name"] == source["name"]).unwrap();
        assert_eq!(row["status"], source["status"], "{row} {source}");
        let gaps = source["missing"].as_array().unwrap();
        for reason in gaps.iter().map(|gap| gap["reason"].as_str().unwrap()) {
            assert!(row["reason"].as_str().unwrap().contains(reason), "{row} {source}");
        }
    }
}

#[test]
fn a_reader_who_leaves_early_is_no_failure() {
    for words in [&["plugins"][..], &["plugins", "--json"], &["config"], &["--help"], &["exec", "--help"]] {
        let mut alumet = Alumet::sh("(sleep 0.1; \"$@\"; echo $? >status) | head -0", words);
        let done = alumet.run().status(0);
        assert_eq!((alumet.read("status").as_str(), done.stderr.as_str()), ("0\n", ""), "{words:?}");
    }
    for words in [&["plugins"][..], &["config"]] {
        Alumet::sh("\"$@\" >/dev/full", words).run().refuses(125, "cannot write to stdout: no space left");
    }
}

#[test]
fn help_is_short_and_on_stdout() {
    for words in
        [&["--help"][..], &["exec", "--help"], &["plugins", "--help"], &["config", "--help"], &["exec", "-h"]]
    {
        let done = Alumet::new(words).run().status(0);
        assert_eq!(done.stderr, "");
        let lines = done.stdout.lines().count();
        assert!(lines > 3 && lines < 80, "{words:?}: {lines} lines");
        assert!(done.stdout.contains("Usage: alumet"));
    }
    assert!(Alumet::new(["--version"]).run().status(0).stdout.starts_with("alumet "));
}

/// Whoever made the directory could otherwise have alumet run code, or write over any file of the user.
#[test]
fn what_runs_code_or_writes_files_is_not_taken_from_the_working_directory() {
    for (text, place, key) in [
        ("[nvml]\nlibrary = \"precious\"\n", "2:1", "nvml.library"),
        ("[csv]\npath = \"precious\"\n", "2:1", "csv.path"),
        ("idle_profile = \"precious\"\n", "1:1", "idle_profile"),
    ] {
        let alumet = exec(&[]);
        alumet.write("alumet.toml", text).write("precious", "");
        let says = format!(
            "alumet.toml:{place}: {key} is not taken from the working directory; name the file with --config"
        );
        refused(alumet, 2, &[&says]);
        let mut named = Alumet::new(["config", "--config", "alumet.toml"]);
        named.command.env_remove("ALUMET_IDLE_PROFILE");
        named.write("alumet.toml", text);
        assert!(named.run().status(0).stdout.contains("\"precious\""));
    }
}

#[test]
fn a_configuration_that_is_a_pipe_is_not_waited_for() {
    for options in [&[][..], &["--config", "alumet.toml"]] {
        let alumet = exec(options);
        nix::unistd::mkfifo(&alumet.path("alumet.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused(alumet, 2, &["cannot read the configuration alumet.toml: it is no regular file"]);
    }
}

/// The roots of the machine's files can be anything. Each file that is looked at is a FIFO without a writer, or a device that
/// never ends: nobody waits for it, and it is as if it were not there.
#[test]
fn a_machine_whose_files_are_pipes_or_endless_devices_keeps_nobody_waiting() {
    const FILES: [&str; 14] = [
        "proc/stat",
        "proc/meminfo",
        "proc/cpuinfo",
        "sys/class/dmi/id/sys_vendor",
        "sys/class/dmi/id/product_name",
        "sys/class/dmi/id/chassis_type",
        "sys/firmware/devicetree/base/compatible",
        "sys/devices/system/cpu/online",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        "sys/devices/system/cpu/intel_pstate/no_turbo",
        "sys/bus/event_source/devices/cpu/type",
        "sys/bus/event_source/devices/power/type",
        "sys/class/powercap/intel-rapl:0/name",
        "sys/class/hwmon/hwmon0/name",
    ];
    for is_fifo in [true, false] {
        let prepared = |words: &[&str]| {
            let alumet = Alumet::new(words);
            for file in FILES {
                let path = alumet.path(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                match is_fifo {
                    true => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
                    false => symlink("/dev/zero", &path).unwrap(),
                }
            }
            let device = alumet.path("sys/bus/pci/devices/0000:00:01.0");
            std::fs::create_dir_all(&device).unwrap();
            match is_fifo {
                true => nix::unistd::mkfifo(&device.join("vendor"), nix::sys::stat::Mode::S_IRWXU).unwrap(),
                false => symlink("/dev/zero", device.join("vendor")).unwrap(),
            }
            alumet
        };
        let roots = ["--sysfs", "sys", "--procfs", "proc"];
        let exec = [&["exec"], &roots[..], &["--json", "p.json", "true"]].concat();
        let mut alumet = prepared(&exec);
        alumet.run().status(0);
        assert_eq!(alumet.profile("p.json")["host"]["governor"], serde_json::Value::Null);
        prepared(&[&["plugins"], &roots[..]].concat()).run().status(0);
        prepared(&[&["doctor"], &roots[..]].concat()).run();
        prepared(&[&["exec"], &roots[..], &["-e", "cpu/event=1/", "true"]].concat())
            .run()
            .says("no regular file");
    }
}

/// A memory of more bytes than a number holds is none.
#[test]
fn numbers_of_the_machine_that_are_too_large_are_not_wrapped() {
    let mut alumet = Alumet::new(["exec", "--procfs", "proc", "--json", "p.json", "true"]);
    std::fs::create_dir(alumet.path("proc")).unwrap();
    let most = u64::MAX;
    alumet
        .write(
            "proc/stat",
            &format!("cpu  {most} {most} {most} {most} {most} {most} {most} {most}\ncpu0 1\n"),
        )
        .write("proc/meminfo", &format!("MemTotal: {most} kB\nMemFree: {most} kB\n"))
        .write("proc/cpuinfo", "");
    alumet.run().status(0);
    let profile = alumet.profile("p.json");
    assert_eq!(profile["host"]["memory_bytes"], serde_json::Value::Null);
    for metric in profile["runs"][0]["metrics"].as_array().unwrap() {
        let value = metric["value"].as_f64().or(metric["max"].as_f64()).unwrap();
        assert!(value < 1e12, "{metric}");
    }
}
