//! Under a hook that remembers them, panics of elements and plugins are reported with their place. A file of its own, for
//! the hook is the whole process'.

use alumet::{Agent, Batch, ElementReport, Interval};

#[tokio::test]
async fn a_panic_of_an_element_or_of_a_plugins_start_is_reported_with_file_and_line() {
    std::panic::set_hook(Box::new(alumet::panics::remember));
    let mut agent = Agent::new();
    let started = agent.start_plugin("broken", |_| panic!("cannot\n  start"));
    let place = |line: u32| format!("it panicked at {}:{line}: ", file!());
    assert_eq!(started.unwrap_err().to_string(), place(line!() - 2) + "cannot start");

    let mut setup = agent.setup();
    let line = line!();
    setup.source("source", Interval::from_millis(1), |_: &mut Batch| panic!("of the source"));
    setup.transform("transform", |_: &mut Batch| panic!("of the transform"));
    setup.output("output", |_: &Batch| panic!("of the output"));
    let series = alumet::Series::new(alumet::Metric::counter("ticks", "1", ""));
    let series = agent.setup().series(series).expect("the only one");
    agent.setup().source("ticks", Interval::from_millis(1), move |out: &mut Batch| {
        out.push(series, 1.0);
        Ok(())
    });
    let running = agent.start().await.expect("threads can be had");
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let report = running.finish().await;
    let said = |of: &ElementReport| Some((of.name.clone(), of.last_error.clone()?));
    let said: Vec<_> = report.elements.iter().filter_map(said).collect();
    let names = ["source", "transform", "output"];
    let expected = (1..).zip(names).map(|(n, name)| (name.to_owned(), place(line + n) + "of the " + name));
    assert_eq!(said, expected.collect::<Vec<_>>());
}
