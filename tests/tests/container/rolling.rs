//! From the image of the commit before to that of this one, and back.

use eddy_tests::oracle;
use eddy_tests::service::wait_for;

use super::docker::{Container, present, previous};
use super::load::under_load;
use super::stage;

const REPLICAS: [&str; 2] = ["replica-0", "replica-1"];

#[test]
fn replicas_are_rolled_to_this_version_and_back_under_load_and_nothing_is_lost_or_written_twice() {
    let [old, new] = [previous(), present()];
    let stage = stage("container-rolling");
    let start = |image, instance| {
        let replica = Container::start(image, &stage, instance, &[]);
        replica.wait_until_ready();
        replica
    };
    let (events, replicas) = under_load(&stage, || {
        let mut replicas = REPLICAS.map(|instance| start(old, instance));
        for image in [new, old] {
            for (replica, instance) in replicas.iter_mut().zip(REPLICAS) {
                replica.wait_for_outcomes(1000);
                assert_eq!(replica.terminate(), 0, "{}", replica.log());
                *replica = start(image, instance);
            }
        }
        replicas.iter().for_each(|replica| replica.wait_for_outcomes(1000));
        replicas
    });
    wait_for("every event to be committed", || (stage.lag() == 0).then_some(()));
    for replica in &replicas {
        assert_eq!(replica.terminate(), 0, "{}", replica.log());
    }
    let outputs = stage.outputs();
    let counts = oracle::check(&events, &outputs, 0);
    oracle::check_order(&outputs);
    eprintln!("rolled forth and back: {counts:?}");
}
