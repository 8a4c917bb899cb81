//! g04: scikit-activeml and SciPy on least confidence, margin, entropy, committees and ensembles.

use eddy_pipeline::signal::{Scale, Signal, Subject};

use super::{F32, Model, assert_near, cases, golden, integer, number, numbers, rows, times};

#[test]
fn the_uncertainty_of_probabilities() {
    for case in cases(&golden("g04_uncertainty")["cases"]) {
        let classes = number(&case["K"]);
        let model = Model::classes("probabilities", &rows(&case["probs"]));
        let least = model.signal(Signal::LeastConfidence, 1.0);
        assert_near(
            "least_confidence_norm",
            &least,
            &numbers(&case["least_confidence_norm"]),
            F32,
        );
        let lack = times(&least, (classes - 1.0) / classes);
        assert_near("least_confidence", &lack, &numbers(&case["least_confidence"]), F32);
        let margin = model.signal(Signal::Margin, 1.0);
        assert_near(
            "margin_uncertainty",
            &margin,
            &numbers(&case["margin_uncertainty"]),
            F32,
        );
        let entropy = model.signal(Signal::Entropy, 1.0);
        assert_near("entropy_norm", &entropy, &numbers(&case["entropy_norm"]), F32);
        let nats = times(&entropy, classes.ln());
        assert_near("entropy_nats", &nats, &numbers(&case["entropy_nats"]), F32);
    }
}

#[test]
fn a_binary_head_that_decides_at_a_half_has_the_margin_of_two_classes() {
    let binary = serde_json::json!({"type": "binary", "from": "probabilities"});
    let file = golden("g04_uncertainty");
    let case = cases(&file["cases"]).iter().find(|case| integer(&case["K"]) == 2);
    let case = case.expect("there is a case of two classes");
    let margin = Model::new(binary, &rows(&case["probs"])).signal(Signal::Margin, 1.0);
    assert_near(
        "margin_uncertainty",
        &margin,
        &numbers(&case["margin_uncertainty"]),
        F32,
    );
}

#[test]
fn the_uncertainty_of_logits_at_a_temperature() {
    for case in cases(&golden("g04_uncertainty")["logits"]) {
        let (classes, temperature) = (number(&case["K"]), number(&case["T"]));
        let logits = rows(&case["logits"]);
        let entropy = numbers(&case["entropy_nats"]);
        let lack: Vec<f64> = numbers(&case["msp"]).iter().map(|p| 1.0 - p).collect();
        // By the temperature of the measure, and by logits that were divided before.
        let divided: Vec<Vec<f64>> = logits.iter().map(|row| times(row, 1.0 / temperature)).collect();
        for (logits, temperature) in [(&logits, temperature), (&divided, 1.0)] {
            let model = Model::classes("logits", logits);
            let nats = times(&model.signal(Signal::Entropy, temperature), classes.ln());
            assert_near("entropy_nats", &nats, &entropy, F32);
            let least = model.signal(Signal::LeastConfidence, temperature);
            assert_near("msp", &times(&least, (classes - 1.0) / classes), &lack, F32);
        }
        let model = Model::classes("logits", &divided);
        let energy = times(&model.signal(Signal::Energy, 1.0), -number(&case["T"]));
        assert_near("logsumexp_T", &energy, &numbers(&case["logsumexp_T"]), F32);
        let probabilities = rows(&case["probs"]);
        for (row, expected) in probabilities.iter().enumerate() {
            let got: Vec<f64> = model.predictions.values(row).iter().copied().map(f64::from).collect();
            assert_near("probs", &got, expected, F32);
        }
        // The same from probabilities alone: at the reciprocal temperature they are those of temperature 1.
        let back = Model::classes("probabilities", &probabilities).signal(Signal::Margin, 1.0 / number(&case["T"]));
        let plain = Model::classes("logits", &logits).signal(Signal::Margin, 1.0);
        assert_near("margin", &back, &plain, F32);
    }
}

#[test]
fn the_disagreement_of_a_committee() {
    for case in cases(&golden("g04_uncertainty")["committee"]) {
        let (models, classes) = (number(&case["M"]), number(&case["K"]));
        let most = models.min(classes).ln();
        let committee: Vec<Model> = cases(&case["probs"])
            .iter()
            .map(|model| Model::classes("probabilities", &rows(model)))
            .collect();
        assert_eq!(committee.len(), models as usize);
        for (row, votes) in rows(&case["votes"]).iter().enumerate() {
            let got: Vec<f64> = committee
                .iter()
                .map(|model| model.predictions.class(row).expect("a class") as f64)
                .collect();
            assert_eq!(got, *votes);
        }
        let (own, peers) = committee.split_first().expect("a committee has members");
        let peers: Vec<&Model> = peers.iter().collect();
        let bald = times(&own.against(Signal::Bald, &own.subject(), &peers), most);
        assert_near("bald", &bald, &numbers(&case["bald"]), F32);
        assert_near(
            "avg_kl_to_consensus",
            &bald,
            &numbers(&case["avg_kl_to_consensus"]),
            F32,
        );
        let votes = times(&own.against(Signal::VoteEntropy, &own.subject(), &peers), most);
        assert_near("vote_entropy_nats", &votes, &numbers(&case["vote_entropy_nats"]), F32);
        if !case["js_two_models"].is_null() {
            let js = times(&own.against(Signal::Js, &own.subject(), &peers), 2f64.ln());
            assert_near("js_two_models", &js, &numbers(&case["js_two_models"]), F32);
        }
    }
}

#[test]
fn the_largest_difference_within_an_ensemble_of_regressions() {
    let case = &golden("g04_uncertainty")["regression_ensemble"];
    let ensemble: Vec<Model> = rows(&case["preds"])
        .iter()
        .map(|values| {
            let column: Vec<Vec<f64>> = values.iter().map(|value| vec![*value]).collect();
            Model::new(serde_json::json!({"type": "regression"}), &column)
        })
        .collect();
    let scales = [Scale { std: 1.0, width: 0.0 }];
    let mut largest = vec![0.0; ensemble[0].predictions.rows()];
    for (at, own) in ensemble.iter().enumerate() {
        let others = ensemble.iter().enumerate().filter(|(other, _)| *other != at);
        let peers: Vec<&Model> = others.map(|(_, peer)| peer).collect();
        let subject = Subject {
            scales: &scales,
            ..own.subject()
        };
        for (largest, squashed) in largest.iter_mut().zip(own.against(Signal::Delta, &subject, &peers)) {
            *largest = f64::max(*largest, squashed / (1.0 - squashed));
        }
    }
    assert_near("range", &largest, &numbers(&case["range"]), F32);
}
