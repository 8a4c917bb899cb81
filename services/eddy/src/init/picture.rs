//! The plan for images: one field that fills the model's input.

use eddy_pipeline::decode::{EventFormat, EventSettings};
use eddy_pipeline::fields::{Channels, FieldSettings, FieldType, ImageSettings, Layout};
use eddy_pipeline::settings::Problem;
use eddy_pipeline::tensor::{DType, TensorSpec};

use super::{FieldPlan, INPUTS, PlannedField};

/// The field's name.
const IMAGE: &str = "image";

pub(crate) fn plan(inputs: &[TensorSpec]) -> Result<FieldPlan, Problem> {
    let [input] = inputs else {
        let message = format!(
            "the model has {} inputs, and an event is one image; take a model with one input",
            inputs.len()
        );
        return Err(Problem::new(INPUTS, message));
    };
    let refuse = |message: String| Problem::new(format!("{INPUTS}.{}", input.name), message);
    if !matches!(input.dtype, DType::Float32 | DType::Float64 | DType::Float16) {
        return Err(refuse(format!(
            "the model takes {input}, and an image becomes floats; export it with a cast"
        )));
    }
    let (image, about) = image(input).ok_or_else(|| {
        refuse(format!(
            "the model takes {input}, which does not say how large an image is; export it with fixed [N,C,H,W] or [N,H,W,C], \
             one channel or three"
        ))
    })?;
    let field = PlannedField {
        name: IMAGE.to_owned(),
        settings: FieldSettings {
            image: Some(image),
            ..FieldSettings::of(FieldType::Image)
        },
        about,
        notes: vec![(
            "image",
            "pixels from 0 to 1; where training subtracted a mean, add `mean` and `std`".to_owned(),
        )],
    };
    Ok(FieldPlan {
        events: EventSettings {
            format: EventFormat::Image,
            ..EventSettings::default()
        },
        inputs: vec![(input.name.clone(), vec![field.name.clone()])],
        fields: vec![field],
        left_out: Vec::new(),
        remarks: vec![
            "how images were scaled in training cannot be told from the model: compare `image` with the training script"
                .to_owned(),
        ],
    })
}

/// The image that fills an input, and what tells it.
fn image(input: &TensorSpec) -> Option<(ImageSettings, String)> {
    let channels = |count: usize| match count {
        1 => Some(Channels::Grey),
        3 => Some(Channels::Rgb),
        _ => None,
    };
    let known: Option<Vec<usize>> = input.row_shape.iter().copied().collect();
    let (height, width, channels, layout) = match known?.as_slice() {
        [c, h, w] if channels(*c).is_some() => (*h, *w, channels(*c)?, Layout::Chw),
        [h, w, c] => (*h, *w, channels(*c)?, Layout::Hwc),
        [h, w] => (*h, *w, Channels::Grey, Layout::Chw),
        [pixels] if pixels.isqrt().pow(2) == *pixels => (pixels.isqrt(), pixels.isqrt(), Channels::Grey, Layout::Chw),
        _ => return None,
    };
    let settings = serde_json::json!({
        "width": width, "height": height, "channels": channels, "layout": layout,
    });
    let about = format!("the model takes {input}");
    Some((serde_json::from_value(settings).ok()?, about))
}
