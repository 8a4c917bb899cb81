//! Two teams on one topic of events, each with a pipeline, a container and a group of its own.

use eddy_tests::oracle;
use eddy_tests::service::wait_for;
use eddy_tests::stage::Stage;

use super::docker::{Container, present};
use super::load::under_load;
use super::stage;

/// How far the group of a team is behind the events, which are the first team's.
fn lag(team: &Stage, events: &Stage) -> i64 {
    team.kafka().lag(&team.group(), &events.topic("events"))
}

fn committed(team: &Stage, events: &Stage) -> i64 {
    let committed = team.kafka().committed(&team.group(), &events.topic("events"));
    committed.into_iter().flatten().sum()
}

#[test]
fn neither_of_two_teams_on_one_topic_of_events_is_disturbed_when_the_other_is_killed_stopped_or_away() {
    let first = stage("container-team-1");
    let second = stage("container-team-2");
    let events = first.topic("events");
    let shared = [("EDDY__TOPICS__EVENTS", events.as_str())];
    // Both are called alike: what tells them apart is the group.
    let start = |team| Container::start(present(), team, "replica-0", &shared);
    let works_on = |team: &Stage, replica: &Container| {
        let so_far = committed(team, &first);
        wait_for("the other team's work to go on", || {
            assert!(replica.is_running(), "it ended by itself: {}", replica.log());
            (committed(team, &first) > so_far + 2000).then_some(())
        });
    };
    let (sent, [one, two]) = under_load(&first, || {
        let [one, two] = [&first, &second].map(start);
        one.wait_for_outcomes(1000);
        two.wait_for_outcomes(1000);
        two.kill();
        works_on(&first, &one);
        two.start_again();
        works_on(&second, &two);
        assert_eq!(one.terminate(), 0, "{}", one.log());
        // Nothing new comes meanwhile, since events wait for the first team; what is there the second one does.
        wait_for("the second team to do all that there is", || {
            assert!(two.is_running(), "it ended by itself: {}", two.log());
            (lag(&second, &first) == 0).then_some(())
        });
        one.start_again();
        works_on(&first, &one);
        [one, two]
    });
    for (team, replica) in [(&first, one), (&second, two)] {
        wait_for("every event to be committed", || (lag(team, &first) == 0).then_some(()));
        assert_eq!(replica.terminate(), 0, "{}", replica.log());
        let outputs = team.outputs();
        let counts = oracle::check(&sent, &outputs, 0);
        assert_eq!(counts.predictions + counts.dead_letters, sent.len());
    }
}
