//! One container from its start to its end, and two that share a group.

use std::time::Instant;

use eddy_tests::oracle::{self, Keys};
use eddy_tests::prometheus::{Prometheus, every_second};
use eddy_tests::service::wait_for;
use eddy_tests::stage::Stage;

use super::docker::{Container, present};
use super::load::under_load;
use super::{SEED, stage};

const EVENTS: usize = 20_000;

fn wait_for_end(stage: &Stage) {
    wait_for("every event to be committed", || (stage.lag() == 0).then_some(()));
}

#[test]
fn with_nothing_to_write_to_and_no_capability_it_scores_everything_is_scraped_and_ends_with_0_when_it_is_asked_to() {
    let stage = stage("container-life");
    let prometheus = Prometheus::start(every_second);
    let events = oracle::events(SEED, EVENTS, Keys::Distinct(100));
    oracle::send(&stage.kafka().client(), &stage.topic("events"), &events);
    let image = present();
    let began = Instant::now();
    let replica = Container::start(image, &stage, "replica-0", &[]);
    replica.wait_until_ready();
    eprintln!("from `docker run` to ready: {:?}", began.elapsed());
    prometheus.scrape(&[(replica.port(), "0", "n")]);
    wait_for_end(&stage);
    wait_for("every outcome to be scraped", || {
        let seen = prometheus.number("sum(eddy_events_predicted_total) + sum(eddy_events_dead_lettered_total)");
        (seen == EVENTS as f64).then_some(())
    });
    let address = format!("http://127.0.0.1:{}", replica.port());
    assert_eq!(replica.program(&["health", "--ready", "--admin", &address]), Some(0));
    assert_eq!(replica.terminate(), 0, "{}", replica.log());
    assert!(replica.log().contains("drained"), "{}", replica.log());
    let counts = oracle::check(&events, &stage.outputs(), 0);
    assert_eq!(counts.predictions + counts.dead_letters, EVENTS);
}

#[test]
fn a_container_that_is_killed_and_started_again_loses_nothing_and_writes_nothing_twice() {
    let stage = stage("container-kill");
    let (events, replica) = under_load(&stage, || {
        let replica = Container::start(present(), &stage, "replica-0", &[]);
        for _ in 0..3 {
            replica.wait_for_outcomes(1000);
            replica.kill();
            replica.start_again();
        }
        replica.wait_for_outcomes(1000);
        replica
    });
    wait_for_end(&stage);
    assert_eq!(replica.terminate(), 0, "{}", replica.log());
    let outputs = stage.outputs();
    oracle::check(&events, &outputs, 0);
    oracle::check_order(&outputs);
}

#[test]
fn of_two_containers_that_share_a_group_one_is_stopped_under_load_and_nothing_is_lost_or_written_twice() {
    let stage = stage("container-group");
    let start = |instance| Container::start(present(), &stage, instance, &[]);
    let (events, replicas) = under_load(&stage, || {
        let replicas = ["replica-0", "replica-1"].map(start);
        replicas.iter().for_each(|replica| replica.wait_for_outcomes(1000));
        let [stopped, other] = &replicas;
        assert_eq!(stopped.terminate(), 0, "{}", stopped.log());
        let so_far = stage.committed();
        wait_for("the other one to do the work of both", || {
            assert!(other.is_running(), "it ended by itself: {}", other.log());
            (stage.committed() > so_far + 5000).then_some(())
        });
        replicas
    });
    wait_for_end(&stage);
    assert_eq!(replicas[1].terminate(), 0, "{}", replicas[1].log());
    let outputs = stage.outputs();
    oracle::check(&events, &outputs, 0);
    oracle::check_order(&outputs);
}
