//! The alerts on the service itself: when each is due, and when it is not.

use crate::scene::{Scene, play};

/// A pipeline with which all is well, for hours: 6,000 events a minute, no backlog, a replica that started long ago.
fn well(namespace: &'static str) -> Scene {
    Scene::new(namespace)
        .with("eddy_ready", "", "1x300")
        .with("eddy_process_start_time_seconds", "", "-1000000x300")
        .with("eddy_model_info", ",model=\"m\",version=\"1\",sha256=\"a\"", "1x300")
        .with("eddy_events_consumed_total", "", "0+6000x300")
        .with("eddy_events_predicted_total", "", "0+6000x300")
        .with("eddy_events_dead_lettered_total", ",reason=\"malformed\"", "0x300")
        .with("eddy_consumer_lag_events", ",topic=\"t\",partition=\"0\"", "10x300")
        .with("eddy_stalls_total", "", "0x300")
        .with("eddy_lane_paused", ",lane=\"0\",cause=\"flood\"", "0x300")
        .with("eddy_lane_paused", ",lane=\"0\",cause=\"operator\"", "0x300")
        .with("eddy_budget_available_events", ",model=\"m\",arm=\"anomaly\"", "5x300")
        .with(
            "eddy_selection_draws_total",
            ",arm=\"anomaly\",outcome=\"selected\"",
            "0+10x300",
        )
        .with(
            "eddy_selection_draws_total",
            ",arm=\"anomaly\",outcome=\"no_budget\"",
            "0+1x300",
        )
        .with("eddy_drift_catching_up", "", "0x300")
        .with(
            "eddy_certificate_expiry_time_seconds",
            ",table=\"admin.tls\"",
            "9000000x300",
        )
}

fn paused(scene: Scene, cause: &str) -> Scene {
    scene
        .with(
            "eddy_lane_paused",
            &format!(",lane=\"0\",cause=\"{cause}\""),
            "0x20 1x300",
        )
        .with("eddy_events_consumed_total", "", "0+6000x20 126000x300")
        .with("eddy_events_predicted_total", "", "0+6000x20 126000x300")
        .with(
            "eddy_consumer_lag_events",
            ",topic=\"t\",partition=\"0\"",
            "10x20 10+6000x300",
        )
}

fn presence() -> [Scene; 4] {
    [
        well("well").fires(20, &[]).fires(120, &[]).fires(250, &[]),
        well("unready")
            .with("eddy_ready", "", "1x20 0x20 1x200")
            .fires(25, &[])
            .fires(28, &["EddyNotReady"])
            .fires(60, &[]),
        // One of two replicas is enough to go on.
        well("half-ready")
            .with("eddy_ready", ",instance=\"1\"", "0x300")
            .fires(120, &[]),
        well("gone")
            .with("eddy_ready", "", "1x20 stale")
            .fires(25, &[])
            .fires(28, &["EddyNotReady"])
            .fires(250, &["EddyNotReady"]),
    ]
}

fn flow() -> [Scene; 11] {
    let lag = ",topic=\"t\",partition=\"0\"";
    [
        well("behind")
            .with("eddy_consumer_lag_events", lag, "10x20 100000x300")
            .fires(28, &[])
            .fires(35, &["EddyLag"]),
        // The same backlog is nothing to a fast pipeline.
        well("fast")
            .with("eddy_consumer_lag_events", lag, "10x20 100000x300")
            .with("eddy_events_predicted_total", "", "0+60000x300")
            .fires(120, &[]),
        // A partition on the move is shown by two replicas, and counts once.
        well("moving")
            .with(
                "eddy_consumer_lag_events",
                &format!("{lag},instance=\"0\""),
                "40000x300",
            )
            .with(
                "eddy_consumer_lag_events",
                &format!("{lag},instance=\"1\""),
                "40000x300",
            )
            .fires(120, &[]),
        well("stuck")
            .with("eddy_events_predicted_total", "", "0+6000x20 126000x300")
            .with("eddy_events_consumed_total", "", "0+6000x20 126000x300")
            .with("eddy_consumer_lag_events", lag, "10x20 500x300")
            .fires(28, &[])
            .fires(35, &["EddyStall"])
            .fires(120, &["EddyStall"]),
        well("stalled-twice")
            .with("eddy_stalls_total", "", "0x20 1x10 2x300")
            .fires(30, &[])
            .fires(40, &["EddyStall"])
            .fires(80, &[]),
        well("stalled-once")
            .with("eddy_stalls_total", "", "0x20 1x300")
            .fires(40, &[]),
        paused(well("paused"), "operator").fires(60, &[]),
        paused(well("flooded"), "flood")
            .fires(20, &[])
            .fires(22, &["EddyDeadLetterFlood"])
            .fires(60, &["EddyDeadLetterFlood"]),
        well("rejects")
            .with("eddy_events_dead_lettered_total", ",reason=\"malformed\"", "0+1200x300")
            .fires(20, &["EddyDeadLetterFlood"]),
        well("rejects-little")
            .with("eddy_events_dead_lettered_total", ",reason=\"malformed\"", "0+300x300")
            .fires(20, &[]),
        // A share of next to nothing is no flood.
        well("rejects-few")
            .with("eddy_events_predicted_total", "", "0+6x300")
            .with("eddy_events_dead_lettered_total", ",reason=\"malformed\"", "0+3x300")
            .fires(120, &[]),
    ]
}

fn the_rest() -> [Scene; 8] {
    let budget = ",model=\"m\",arm=\"anomaly\"";
    let refused = ",arm=\"anomaly\",outcome=\"no_budget\"";
    [
        well("silent")
            .with("eddy_events_predicted_total", "", "0+6000x20 126000x300")
            .with("eddy_events_consumed_total", "", "0+6000x20 126000x300")
            .with("eddy_consumer_lag_events", ",topic=\"t\",partition=\"0\"", "0x300")
            .fires(60, &[])
            .fires(65, &["EddySilentInput"]),
        well("spent")
            .with("eddy_budget_available_events", budget, "5x20 0.2x300")
            .with("eddy_selection_draws_total", refused, "0+40x300")
            .fires(34, &[])
            .fires(38, &["EddyBudgetExhausted"]),
        // What is spent to the last but in time is a budget well used.
        well("well-spent")
            .with("eddy_budget_available_events", budget, "0.2x300")
            .fires(120, &[]),
        well("saves-again")
            .with("eddy_selection_draws_total", refused, "0+40x300")
            .fires(120, &[]),
        // Fourteen days are 1,209,600 seconds; after ten minutes less than that is left, at one of two replicas.
        well("expires")
            .with(
                "eddy_certificate_expiry_time_seconds",
                ",table=\"kafka.tls\",instance=\"1\"",
                "1210200x140 9000000x160",
            )
            .with(
                "eddy_certificate_expiry_time_seconds",
                ",table=\"kafka.tls\",instance=\"2\"",
                "9000000x300",
            )
            .fires(69, &[])
            .fires(75, &["EddyCertificateExpires"])
            .fires(130, &["EddyCertificateExpires"])
            .fires(145, &[]),
        well("catches-up")
            .with("eddy_drift_catching_up", "", "0x20 1x20 0x200")
            .fires(20, &[])
            .fires(30, &["EddyCatchingUp"])
            .fires(60, &[]),
        well("rolls-out")
            .with(
                "eddy_model_info",
                ",model=\"m\",version=\"1\",sha256=\"a\"",
                "1x60 stale",
            )
            .with(
                "eddy_model_info",
                ",model=\"m\",version=\"1\",sha256=\"b\"",
                "_x60 1x200",
            )
            .fires(59, &[])
            .fires(65, &["EddyDeployment"])
            .fires(80, &[]),
        well("restarted")
            .with("eddy_process_start_time_seconds", "", "-1000000x59 3600x200")
            .fires(59, &[])
            .fires(70, &["EddyDeployment"])
            .fires(80, &[]),
    ]
}

/// A replica that was started again in each of these minutes.
fn restarted(scene: Scene, instance: &str, minutes: &[u32]) -> Scene {
    let mut values = vec!["-1000000".to_owned(); 300];
    for &minute in minutes {
        values[minute as usize..].fill((60 * minute).to_string());
    }
    let instance = format!(",instance=\"{instance}\"");
    scene.with("eddy_process_start_time_seconds", &instance, &values.join(" "))
}

fn restarts() -> [Scene; 3] {
    let rollout = (0..12).fold(well("rollout"), |scene, number| {
        restarted(scene, &number.to_string(), &[60 + number])
    });
    [
        // The fifth start comes with minute 100; with minute 121 the first one is more than an hour ago.
        restarted(well("restarts"), "0", &[60, 70, 80, 90, 100])
            .fires(59, &[])
            .fires(99, &["EddyDeployment"])
            .fires(100, &["EddyDeployment", "EddyRestarts"])
            .fires(118, &["EddyRestarts"])
            .fires(121, &[]),
        // Twelve replicas, one after the other; each of them once.
        rollout
            .fires(71, &["EddyDeployment"])
            .fires(80, &["EddyDeployment"])
            .fires(90, &[]),
        // Replicas of which each was started twice, in the same hour.
        restarted(
            restarted(restarted(well("starts"), "0", &[60, 80]), "1", &[65, 85]),
            "2",
            &[70, 90],
        )
        .fires(92, &["EddyDeployment"])
        .fires(110, &[]),
    ]
}

pub(crate) fn scenes() -> Vec<Scene> {
    let all = presence().into_iter().chain(flow()).chain(the_rest());
    all.chain(restarts()).collect()
}

#[test]
fn alerts_on_the_service_fire_when_they_are_due_and_no_other_does() {
    play(&scenes(), [1, 1]);
}
