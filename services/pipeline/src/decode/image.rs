//! Image events: the value is one JPEG or PNG and nothing else.

use super::format::{Event, Format, Sources, refuse_pointers};
use crate::fields::Kind;
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

#[derive(Debug)]
struct Image {
    field: usize,
}

pub(crate) fn compile(sources: &Sources<'_>) -> Result<Box<dyn Format>, Vec<Problem>> {
    let mut problems = Vec::new();
    refuse_pointers(sources.events, &mut problems);
    match sources.fields {
        [field] if matches!(field.kind, Kind::Image(_)) => {}
        [field] => problems.push(Problem::new(
            format!("fields.{}.type", field.name),
            format!(
                "an image event fills an image, not a {}; write type = \"image\"",
                field.type_name()
            ),
        )),
        fields => problems.push(Problem::new(
            "fields",
            format!(
                "an image event fills exactly one field, and {} are described; keep the image only",
                fields.len()
            ),
        )),
    }
    if problems.is_empty() {
        Ok(Box::new(Image { field: 0 }))
    } else {
        Err(problems)
    }
}

impl Format for Image {
    fn read(&mut self, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        if value.is_empty() {
            return Err(Rejection::new(
                Reason::Malformed,
                "the value is empty; the pipeline expects a JPEG or PNG",
            ));
        }
        event.row.image(self.field, value)
    }
}
