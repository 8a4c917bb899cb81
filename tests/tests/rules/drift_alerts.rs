//! The alerts on drift: when each is due, and when it is not.

use eddy_tests::rules::Trial;
use serde_json::json;

use crate::scene::{Scene, play};

/// Events of a minute by bin: as in the reference, on the move (PSI 0.13), somewhere else (PSI 0.57), and somewhere else but
/// so few that an hour has 240.
const CALM: [u32; 5] = [4, 4, 4, 4, 4];
const MOVING: [u32; 5] = [6, 5, 4, 3, 2];
const MOVED: [u32; 5] = [10, 4, 3, 2, 1];
const FEW: [u32; 5] = [3, 1, 0, 0, 0];

const FEATURE: [&str; 2] = ["EddyFeatureDrift", "EddyFeatureDriftWarning"];
const MODEL: [&str; 3] = ["EddyFeatureDrift", "EddyFeatureDriftWarning", "EddyModelDrift"];
const OUTPUT: [&str; 2] = ["EddyModelDrift", "EddyPredictionDrift"];

/// Features `f0`, `f1` and so on.
fn features(namespace: &'static str, steps: impl IntoIterator<Item = [u32; 5]>) -> Scene {
    let named = steps.into_iter().enumerate();
    named.fold(Scene::new(namespace), |scene, (n, steps)| {
        scene.feature(&format!("f{n}"), "", steps)
    })
}

/// Ten features, the first of which are like this.
fn ten(namespace: &'static str, first: &[[u32; 5]]) -> Scene {
    features(namespace, first.iter().copied().chain(std::iter::repeat(CALM)).take(10))
}

fn inputs() -> [Scene; 6] {
    [
        ten("calm", &[])
            .output("class", CALM)
            .fires(70, &[])
            .gives(70, "eddy:pipeline:drifting_share{$}", 0.0),
        ten("one", &[MOVED])
            .fires(70, &FEATURE)
            .gives(70, "eddy:pipeline:drifting_share{$}", 0.1),
        ten("two", &[MOVED, MOVED])
            .fires(70, &MODEL)
            .gives(70, "eddy:pipeline:drifting_share{$}", 0.2),
        ten("moving", &[MOVING, MOVING, MOVING])
            .fires(70, &["EddyFeatureDriftWarning"])
            .gives(70, "eddy:feature:state{$}", 3.0),
        // A segment is judged by itself: two in ten of its features are enough, and what they do to all events is not.
        ten("segment", &[])
            .feature("f0", "north", MOVED)
            .feature("f1", "north", CALM)
            .fires(70, &MODEL)
            .gives(
                70,
                "ALERTS{$,alertname=\"EddyFeatureDrift\",feature=\"f0\",segment=\"north\"}",
                1.0,
            )
            .gives(70, "count(ALERTS{$,alertname=\"EddyFeatureDrift\"})", 1.0),
        // Only the names of the worst five are kept.
        ten("worst", &[MOVED, MOVED, MOVED, MOVED, MOVED, MOVED])
            .fires(70, &MODEL)
            .gives(70, "count(eddy:pipeline:worst_features1h{$})", 5.0)
            .gives(70, "count(eddy:pipeline:worst_features1h{$,feature=~\"f[0-5]\"})", 5.0),
    ]
}

fn windows() -> [Scene; 3] {
    [
        // Too few for an hour's verdict, and for the day's until the fourth hour is over: unknown, and not quiet.
        features("few", [FEW, CALM])
            .fires(110, &[])
            .gives(110, "eddy:feature:is_sufficient1h{$,feature=\"f0\"}", 0.0)
            .gives(110, "eddy:feature:is_sufficient{$,feature=\"f0\"}", 0.0)
            .gives(110, "eddy:feature:window_seconds{$,feature=\"f0\"}", 0.0)
            .gives(110, "eddy:feature:state{$,feature=\"f0\"}", -1.0)
            .gives(110, "count(eddy:feature:psi{$})", 1.0)
            .gives(250, "eddy:feature:window_seconds{$,feature=\"f0\"}", 86400.0)
            .gives(250, "eddy:feature:count24h{$,feature=\"f0\"}", 960.0)
            .gives(250, "eddy:feature:window_seconds{$,feature=\"f1\"}", 3600.0)
            .gives(250, "eddy:feature:state{$,feature=\"f0\"}", 2.0)
            .fires(250, &MODEL),
        features("old", [MOVED, MOVED, CALM])
            .output("class", MOVED)
            .with(
                "eddy_feature_missing_total",
                ",profile=\"f\",feature=\"f2\"",
                "0+20x300",
            )
            .with(
                "eddy_feature_reference_missing_ratio",
                ",profile=\"f\",feature=\"f2\"",
                "0.01x300",
            )
            .with("eddy_confidence_evidence", ",model=\"m\",version=\"1\"", "20x300")
            .with("eddy_drift_catching_up", ",instance=\"0\"", "0x300")
            .with("eddy_drift_catching_up", ",instance=\"1\"", "1x130 0x200")
            .fires(70, &["EddyCatchingUp"])
            .gives(70, "max(eddy:feature:state{$})", -2.0)
            .gives(70, "eddy:output:state{$}", -2.0)
            .fires(
                140,
                &[
                    "EddyConfidenceDrop",
                    "EddyFeatureDrift",
                    "EddyFeatureDriftWarning",
                    "EddyMissingValues",
                    "EddyModelDrift",
                    "EddyPredictionDrift",
                ],
            ),
        // So much is missing that the values left are too few to compare; that it is missing is known all the same.
        features("lacking", [[1, 1, 1, 1, 1]])
            .with(
                "eddy_feature_missing_total",
                ",profile=\"f\",feature=\"f0\"",
                "0+15x300",
            )
            .with(
                "eddy_feature_reference_missing_ratio",
                ",profile=\"f\",feature=\"f0\"",
                "0x300",
            )
            .fires(70, &["EddyMissingValues"])
            .gives(70, "eddy:feature:missing_excess{$,feature=\"f0\"}", 0.75)
            .gives(70, "eddy:feature:is_sufficient{$,feature=\"f0\"}", 0.0),
    ]
}

fn models() -> [Scene; 9] {
    let (one, replica) = (",model=\"m\",version=\"1\"", |n: u8| {
        format!(",model=\"m\",version=\"1\",instance=\"{n}\"")
    });
    let embeds = |namespace: &'static str, distances: [&str; 3]| {
        (0..3_u8)
            .zip(distances)
            .fold(Scene::new(namespace), |scene, (n, distance)| {
                let labels = format!("{},profile=\"f\"", replica(n));
                scene.with("eddy_embedding_drift", &labels, distance).with(
                    "eddy_embedding_drift_critical",
                    &labels,
                    "0.3x300",
                )
            })
    };
    [
        ten("says", &[])
            .output("class", MOVED)
            .output("confidence", CALM)
            .fires(70, &OUTPUT),
        ten("says-a-little", &[])
            .output("class", MOVING)
            .fires(70, &[])
            .gives(70, "eddy:output:state{$}", 1.0),
        // e^12 and next to nothing are 81,000 on average; e^13 is 221,000. An average of logarithms would see neither.
        Scene::new("sure")
            .with("eddy_confidence_evidence", &replica(0), "12x300")
            .with("eddy_confidence_evidence", &replica(1), "-5x300")
            .fires(70, &[]),
        Scene::new("unsure")
            .with("eddy_confidence_evidence", &replica(0), "-Inf 13x60 0x300")
            .with("eddy_confidence_evidence", &replica(1), "-Inf -5x60 0x300")
            .fires(0, &[])
            .fires(50, &["EddyConfidenceDrop"])
            .fires(70, &["EddyConfidenceDrop"])
            .fires(90, &[]),
        Scene::new("unsure-beyond-numbers")
            .with("eddy_confidence_evidence", &replica(0), "1000x300")
            .with("eddy_confidence_evidence", &replica(1), "1000x300")
            .fires(70, &["EddyConfidenceDrop"])
            .gives(70, "eddy:model:evidence{$} < bool Inf", 1.0),
        embeds("embeds", ["0.4x300", "0.5x300", "0.1x300"])
            .fires(8, &[])
            .fires(70, &["EddyEmbeddingDrift"]),
        embeds("embeds-one", ["0.9x300", "0.1x300", "0.1x300"]).fires(70, &[]),
        // Ninety days are 7,776,000 seconds.
        Scene::new("stale")
            .with("eddy_model_created_time_seconds", one, "-7776001x300")
            .fires(50, &[])
            .fires(70, &["EddyModelStale"]),
        Scene::new("fresh")
            .with("eddy_model_created_time_seconds", one, "-7000000x300")
            .fires(70, &[]),
    ]
}

pub(crate) fn scenes() -> Vec<Scene> {
    inputs().into_iter().chain(windows()).chain(models()).collect()
}

#[test]
fn alerts_on_drift_fire_when_they_are_due_and_no_other_does() {
    play(&inputs(), [1, 1]);
    play(&models(), [1, 1]);
    play(&windows(), [1, 1]);
}

#[test]
fn the_page_of_a_model_names_the_worst_features_and_the_outputs() {
    let series = ten("n", &[MOVED, [9, 4, 4, 2, 1]]).output("class", MOVED).series();
    let labels = json!({"namespace": "n", "pipeline": "p", "profile": "f", "severity": "page", "about": "drift"});
    let mut trial = Trial::new(series, Vec::new());
    trial.alerts.push(json!({
        "eval_time": "70m",
        "alertname": "EddyModelDrift",
        "exp_alerts": [{
            "exp_labels": labels,
            "exp_annotations": {
                "summary": "The model with profile f in pipeline p no longer sees, or no longer says, what it did in the reference.",
                "description": "Features that moved most, by PSI above noise: f0 0.56; f1 0.47; drifting outputs: m 1 class 0.56;",
                "runbook": "dashboards/runbooks.md#model-drift",
            },
        }],
    }));
    trial.holds();
}
