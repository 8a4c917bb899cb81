//! Which head is planned.

use std::fmt::Write as _;

use super::*;

fn headed(label: &[&str], outputs: Vec<OutputFacts>) -> Result<serde_json::Value, String> {
    let mut text = "x,y\n".to_owned();
    for i in 0..60 {
        writeln!(text, "{}.5,{}", i % 7, label[i % label.len()]).unwrap();
    }
    let data = data("t.csv", &text);
    let set = if label == [""] {
        data.set.without(&["y"])
    } else {
        data.set.with_label("y")
    }
    .unwrap();
    let facts = model(vec![floats("x", &[1])], outputs);
    if plan(&survey(&set), &facts).is_err() {
        return Err(problems(&set, &facts));
    }
    let (_, file, _) = planned(&set, &facts);
    Ok(serde_json::to_value(&file.models[0].head).unwrap())
}

#[test]
fn the_head_follows_from_outputs_looks_and_label() {
    let one = |width: usize, looks| vec![output(floats("o", &[width]), looks)];
    let numbers: Vec<String> = (0..30).map(|i| format!("{i}.25")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let of = |label: &[&str], outputs| headed(label, outputs).unwrap();
    let kind = |label: &[&str], outputs| {
        let head = of(label, outputs);
        format!(
            "{} {}",
            head["type"].as_str().unwrap(),
            head["from"].as_str().unwrap_or("-")
        )
    };
    assert_eq!(
        kind(&["no", "yes"], one(1, Looks::Probabilities)),
        "binary probabilities"
    );
    assert_eq!(kind(&["no", "yes"], one(1, Looks::Numbers)), "binary logits");
    assert_eq!(kind(&["0", "1"], one(2, Looks::Distributions)), "binary probabilities");
    assert_eq!(
        kind(&["a", "b", "c"], one(3, Looks::Distributions)),
        "classification probabilities"
    );
    assert_eq!(kind(&["a", "b", "c"], one(3, Looks::Numbers)), "classification logits");
    assert_eq!(kind(&numbers, one(1, Looks::Numbers)), "regression -");
    assert_eq!(kind(&numbers, one(1, Looks::Probabilities)), "regression -");
    assert_eq!(kind(&[""], one(1, Looks::Numbers)), "regression -");
    assert_eq!(
        kind(&[""], one(3, Looks::Distributions)),
        "classification probabilities"
    );
    assert_eq!(kind(&[""], one(3, Looks::Probabilities)), "multi-label probabilities");
    assert_eq!(kind(&[""], one(16, Looks::Numbers)), "embedding -");
    assert_eq!(
        of(&["10", "9", "2"], one(3, Looks::Numbers))["classes"],
        serde_json::json!(["2", "9", "10"])
    );
    let pair = vec![
        output(floats("mean", &[1]), Looks::Numbers),
        output(floats("pred_std", &[1]), Looks::Numbers),
    ];
    let expected = serde_json::json!({ "type": "regression", "output": "mean", "spread": "pred_std" });
    assert_eq!(of(&numbers, pair.clone()), expected);
    let refused = |label: &[&str], outputs| headed(label, outputs).unwrap_err();
    assert!(refused(&["a", "b"], pair).contains("more outputs than can be told apart"));
    assert!(refused(&["a", "b"], one(3, Looks::Numbers)).contains("the label has 2 distinct values"));
    assert!(refused(&["a", "b"], vec![labels("l", DType::Int64, &[])]).contains("gives no floating-point output"));
    let scores = vec![
        labels("l", DType::Int64, &[1]),
        output(floats("s", &[1]), Looks::Numbers),
    ];
    assert!(refused(&["a", "b"], scores).contains("not the -1 and 1 of an outlier detector"));
    let unseen = vec![OutputFacts {
        spec: floats("o", &[2]),
        looks: None,
    }];
    assert!(refused(&["a", "b"], unseen).contains("was not run"));
}

#[test]
fn the_written_selection_has_a_budget_and_its_comments_are_settings() {
    for outputs in [
        probabilities(2),
        vec![
            labels("l", DType::Int64, &[]),
            output(floats("p", &[2]), Looks::Distributions),
        ],
    ] {
        let data = table("x,y", |i| format!("{i}.5,{}", i % 2));
        let set = data.set.with_label("y").unwrap();
        let (plan, file, _) = planned(&set, &model(vec![floats("x", &[1])], outputs));
        assert_eq!(file.select.fraction, Some(0.001));
        let text = plan.to_toml();
        let mut whole = text.clone();
        for line in text
            .lines()
            .filter(|line| line.starts_with("# ") && line.contains(" = ") || *line == "# [select.shares]")
        {
            whole = whole.replace(line, line.trim_start_matches("# "));
        }
        let source = Source {
            name: "pipeline.toml",
            text: &whole,
        };
        let file = file::read(source, [])
            .unwrap_or_else(|problems| panic!("{problems}\n{whole}"))
            .settings;
        assert_eq!(file.select.confidence_below, Some(0.6));
        assert_eq!(file.select.per_day, Some(500));
    }
}
