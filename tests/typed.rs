//! What may be typed: a program without a command, help in either order, and hints for what is neither.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::Alumet;

fn alumet(words: &[&str]) -> support::Done {
    Alumet::new(words).run()
}

#[test]
fn a_program_is_measured_without_a_command() {
    for words in [
        &["sh", "-c", "exit 3"][..],
        &["/bin/sh", "-c", "exit 3"],
        &["--", "sh", "-c", "exit 3"],
        &["-e", "page-faults", "sh", "-c", "exit 3"],
    ] {
        alumet(words).status(3).says("ended with status 3").says("Time");
    }
    let mut here = Alumet::new(["./app", "--version"]);
    here.write("app", "#!/bin/sh\necho \"got $*\"\n");
    std::fs::set_permissions(here.path("app"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let done = here.run().status(0).says("Time");
    assert_eq!(done.stdout, "got --version\n");
    // A command of alumet's comes first, whatever programs there are.
    let done = alumet(&["config", "--help"]).status(0);
    assert!(done.stdout.contains("Usage: alumet config"), "{}", done.stdout);
}

#[test]
fn what_is_no_program_either_is_refused_with_what_was_meant() {
    alumet(&["./no-such-app"]).refuses(127, "./no-such-app: not found");
    alumet(&["/dev/null"]).refuses(126, "/dev/null: cannot be executed");
    alumet(&["no-such-app"]).refuses(127, "`no-such-app` is no command of alumet, and no program");
    alumet(&["exce", "--", "true"]).refuses(2, "did you mean `exec`? (`alumet --help` lists the commands)");
    alumet(&["--", "exec-of-nothing"]).refuses(127, "exec-of-nothing: not found");
    alumet(&[""]).refuses(2, "a command is empty");
}

#[test]
fn help_comes_before_or_after_the_command() {
    for command in ["exec", "attach", "compare", "check", "doctor", "plugins", "config"] {
        let (before, after) = (alumet(&["help", command]).status(0), alumet(&[command, "--help"]).status(0));
        assert_eq!(before.stdout, after.stdout);
        assert!(before.stdout.contains(&format!("Usage: alumet {command}")), "{}", before.stdout);
        assert!(before.stdout.contains("\nExamples:\n  alumet "), "{}", before.stdout);
    }
    assert_eq!(alumet(&["help"]).status(0).stdout, alumet(&["--help"]).status(0).stdout);
    alumet(&["help", "exce"]).refuses(2, "did you mean `exec`?");
}

#[test]
fn what_is_wrong_is_said_in_plain_words_with_the_help_of_the_command() {
    for (words, says) in [
        (&["exec", "-r", "ten", "true"][..], "--runs: `ten` is not a whole number of 0 or more"),
        (&["exec", "-r", "-3", "true"], "--runs: `-3` is not a whole number of 0 or more"),
        (&["exec", "--top", "99999999999999999999", "true"], "--top: 99999999999999999999 is too large"),
        (&["exec", "--rnus", "3", "true"], "there is no option `--rnus`; did you mean `--runs`?"),
        (&["exec"], "no COMMAND is given: it comes last, as in `alumet exec ./app`"),
        (&["exec", "--json"], "--json needs a value: FILE"),
        (&["exec", "-L", "a"], "--parameter-list needs NAME VALUES"),
        (&["exec", "-q", "-q", "true"], "--quiet is there twice"),
        (&["exec", "--quiet=yes", "true"], "--quiet takes no value, and not `yes`"),
        (&["exec", "--show-output", "--app-output", "x", "true"], "--show-output and --app-output exclude"),
        (&["compare", "--inconclusive", "x", "a", "b"], "--inconclusive: `x` is none of pass, fail"),
        (&["attach"], "no PID is given"),
        (&["attach", "sshd"], "`sshd` is no PID; `--name sshd` measures"),
        (&["exec", "--versio", "true"], "there is no option `--versio`; did you mean `alumet --version`?"),
        (&["exec", "-q", "-v", "true"], "--quiet and --verbose exclude each other"),
        (&["doctor", "x"], "`x` is one word too many"),
    ] {
        let done = alumet(words).refuses(2, says);
        let help = format!("(`alumet {} --help` shows what there is)\n", words[0]);
        assert!(done.stderr.ends_with(&help), "{}", done.stderr);
    }
}

#[test]
fn what_is_nearly_an_option_of_alumet_itself_is_told() {
    alumet(&["--versio"]).refuses(2, "there is no option `--versio`; did you mean `--version`?");
    alumet(&["--hlep"]).refuses(2, "did you mean `--help`?");
}

#[test]
fn values_that_leave_nothing_are_refused() {
    alumet(&["exec", "--top", "0", "true"]).refuses(2, "--top 0: a table has a row at least");
    alumet(&["compare", "-n", "", "true", "false"]).refuses(2, "--name: a version's name is empty");
}

#[test]
fn a_help_that_cannot_be_written_is_said() {
    for words in [&["--help"][..], &["exec", "--help"], &["--version"]] {
        Alumet::sh("exec \"$@\" >/dev/full", words)
            .run()
            .refuses(125, "cannot write the help: no space left");
    }
}
