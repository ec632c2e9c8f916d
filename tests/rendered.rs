//! The man pages and the completions are what `src/cli.rs` renders to. `UPDATE=1 cargo test --test rendered` writes
//! them anew.

#[path = "../src/cli.rs"]
mod cli;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

/// Where each file belongs, and what it should be.
fn pages() -> Vec<(PathBuf, Vec<u8>)> {
    let mut alumet = cli::Cli::command();
    alumet.build();
    let subcommands = alumet.get_subcommands().cloned().collect::<Vec<_>>();
    let mut files = Vec::new();
    for command in [alumet].into_iter().chain(subcommands) {
        let man = Man::new(command).source(concat!("alumet ", env!("CARGO_PKG_VERSION")));
        let mut page = Vec::new();
        man.render(&mut page).unwrap();
        files.push((Path::new("man").join(man.get_filename()), page));
    }
    files
}

fn completions() -> Vec<(PathBuf, Vec<u8>)> {
    let files = [(Shell::Bash, "alumet.bash"), (Shell::Zsh, "_alumet"), (Shell::Fish, "alumet.fish")];
    let complete = |(shell, name): (Shell, &str)| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut cli::Cli::command(), "alumet", &mut text);
        (Path::new("completions").join(name), text)
    };
    files.map(complete).to_vec()
}

fn place(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares the files in a directory with those that belong there, or writes them.
fn compare(directory: &str, files: Vec<(PathBuf, Vec<u8>)>) {
    const HOW: &str = "run `UPDATE=1 cargo test --test rendered` and commit what it writes";
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        for (path, text) in &files {
            fs::create_dir_all(place(path).parent().unwrap()).unwrap();
            fs::write(place(path), text).unwrap();
        }
    }
    for (path, text) in &files {
        let found = fs::read(place(path)).unwrap_or_default();
        assert!(found == *text, "{} is not what src/cli.rs says; {HOW}", path.display());
    }
    let mut found: Vec<_> =
        fs::read_dir(place(Path::new(directory))).unwrap().map(|e| e.unwrap().path()).collect();
    let mut expected: Vec<_> = files.iter().map(|(path, _)| place(path)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{directory} has other files; remove them");
}

#[test]
fn the_man_pages_are_up_to_date() {
    compare("man", pages());
}

#[test]
fn the_completions_are_up_to_date() {
    compare("completions", completions());
}

#[test]
fn every_command_has_a_page_that_names_its_options() {
    let pages = pages();
    let names: Vec<_> = pages.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(names[0], "man/alumet.1");
    for command in cli::Cli::command().get_subcommands() {
        let name = format!("man/alumet-{}.1", command.get_name());
        let (_, page) =
            pages.iter().find(|(path, _)| *path == Path::new(&name)).unwrap_or_else(|| panic!("no {name}"));
        let text = String::from_utf8(page.clone()).unwrap();
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let roff = option.replace('-', "\\-");
            assert!(text.contains(&format!("\\-\\-{roff}")), "{name} does not name --{option}");
        }
    }
}

/// Runs a program on a file; `None`, with a word on stderr, if it is not installed.
fn check(program: &str, arguments: &[&str], path: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(place(path))
        .env("LC_ALL", "C.UTF-8")
        .env("MANPAGER", "cat")
        .env("MANWIDTH", "80")
        .stdin(Stdio::null());
    match command.output() {
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program} on {}: {stderr}", path.display());
            assert_eq!(stderr, "", "{program} on {}", path.display());
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(_) => {
            eprintln!("skipped: {}, because {program} is not installed", path.display());
            None
        }
    }
}

#[test]
fn each_shell_can_read_its_completions() {
    check("bash", &["-n"], Path::new("completions/alumet.bash"));
    check("zsh", &["-n"], Path::new("completions/_alumet"));
    check("fish", &["--no-execute"], Path::new("completions/alumet.fish"));
}

#[test]
fn man_shows_every_page_without_a_warning() {
    for (path, _) in pages() {
        if let Some(text) = check("man", &["--warnings", "-l"], &path) {
            assert!(text.contains("NAME") && text.contains("SYNOPSIS"), "{text}");
        }
    }
}
