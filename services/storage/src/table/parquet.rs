//! Parquet files, as pyarrow, DuckDB and Spark read them.
//!
//! Owns: the building of batches. Every column may hold nulls; times are timestamps in UTC to the millisecond.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::file::WholeFile;
use super::{Cell, Column, ColumnType, Options};
use crate::error::Error;

/// Most rows of a batch.
const BATCH_ROWS: usize = 4096;
/// Bytes of texts and lists after which a batch is written.
const BATCH_BYTES: usize = 8 << 20;
/// Bytes in memory after which a row group is written.
const GROUP_BYTES: usize = 64 << 20;
const ZSTD_LEVEL: i32 = 3;
/// The name of a list's elements, as the format's specification has it.
const ELEMENT: &str = "element";

/// Writes a Parquet file.
pub(crate) struct Encoder {
    writer: ArrowWriter<WholeFile>,
    schema: SchemaRef,
    builders: Vec<Builder>,
    rows: usize,
    bytes: usize,
}

impl Encoder {
    pub(crate) fn new(file: WholeFile, columns: &[Column], options: &Options) -> Result<Self, Error> {
        let path = file.path().to_owned();
        let refuse = |error: ParquetError| Error::write(&path, std::io::Error::other(error));
        let fields: Vec<Field> = columns.iter().map(field).collect();
        let schema = Arc::new(Schema::new(fields));
        let compression = match options.compression {
            super::Compression::Zstd => Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).map_err(refuse)?),
            super::Compression::Snappy => Compression::SNAPPY,
        };
        let metadata = options
            .metadata
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_key_value_metadata(Some(metadata.collect()))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(refuse)?;
        Ok(Self {
            writer,
            schema,
            builders: columns.iter().map(|column| Builder::new(column.kind)).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    fn write(&mut self) -> Result<(), Error> {
        let columns: Vec<ArrayRef> = self.builders.iter_mut().map(Builder::finish).collect();
        (self.rows, self.bytes) = (0, 0);
        let written = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(ParquetError::from)
            .and_then(|batch| self.writer.write(&batch))
            .and_then(|()| match self.writer.in_progress_size() {
                bytes if bytes >= GROUP_BYTES => self.writer.flush(),
                _ => Ok(()),
            });
        written.map_err(|error| Error::write(self.writer.inner().path(), std::io::Error::other(error)))
    }
}

impl super::Encoder for Encoder {
    fn append(&mut self, row: &[Cell<'_>]) -> Result<(), Error> {
        for (builder, cell) in self.builders.iter_mut().zip(row) {
            self.bytes += builder.append(cell);
        }
        self.rows += 1;
        if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<WholeFile, Error> {
        if self.rows > 0 {
            self.write()?;
        }
        let path = self.writer.inner().path().to_owned();
        self.writer
            .into_inner()
            .map_err(|error| Error::write(&path, std::io::Error::other(error)))
    }
}

fn field(column: &Column) -> Field {
    let list = |element: DataType| DataType::List(Arc::new(Field::new(ELEMENT, element, true)));
    let data_type = match column.kind {
        ColumnType::Integer => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Text => DataType::Utf8,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ColumnType::Texts => list(DataType::Utf8),
        ColumnType::Floats => list(DataType::Float64),
        ColumnType::Floats32 => list(DataType::Float32),
    };
    Field::new(&column.name, data_type, true)
}

/// The values of one column of a batch.
enum Builder {
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Text(StringBuilder),
    Timestamp(TimestampMillisecondBuilder),
    Texts(ListBuilder<StringBuilder>),
    Floats(ListBuilder<Float64Builder>),
    Floats32(ListBuilder<Float32Builder>),
}

impl Builder {
    fn new(kind: ColumnType) -> Self {
        let element = |data_type: DataType| Field::new(ELEMENT, data_type, true);
        match kind {
            ColumnType::Integer => Self::Integer(Int64Builder::new()),
            ColumnType::Float => Self::Float(Float64Builder::new()),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Text => Self::Text(StringBuilder::new()),
            ColumnType::Timestamp => Self::Timestamp(TimestampMillisecondBuilder::new().with_timezone("UTC")),
            ColumnType::Texts => {
                Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(element(DataType::Utf8)))
            }
            ColumnType::Floats => {
                Self::Floats(ListBuilder::new(Float64Builder::new()).with_field(element(DataType::Float64)))
            }
            ColumnType::Floats32 => {
                Self::Floats32(ListBuilder::new(Float32Builder::new()).with_field(element(DataType::Float32)))
            }
        }
    }

    /// Appends a cell of the column's type, or null; gives the bytes that it took beyond a fixed size.
    fn append(&mut self, cell: &Cell<'_>) -> usize {
        match (self, cell) {
            (Self::Integer(builder), Cell::Integer(i)) => builder.append_value(*i),
            (Self::Float(builder), Cell::Float(x)) => builder.append_value(*x),
            (Self::Boolean(builder), Cell::Boolean(b)) => builder.append_value(*b),
            (Self::Timestamp(builder), Cell::TimestampMs(ms)) => builder.append_value(*ms),
            (Self::Text(builder), Cell::Text(text)) => {
                builder.append_value(text);
                return text.len();
            }
            (Self::Texts(builder), Cell::Texts(texts)) => {
                builder.append_value(texts.iter().map(Some));
                return texts.iter().map(String::len).sum();
            }
            (Self::Floats(builder), Cell::Floats(floats)) => {
                builder.append_value(floats.iter().copied().map(Some));
                return size_of_val::<[f64]>(floats);
            }
            (Self::Floats32(builder), Cell::Floats32(floats)) => {
                builder.append_value(floats.iter().copied().map(Some));
                return size_of_val::<[f32]>(floats);
            }
            (builder, _) => builder.append_null(),
        }
        0
    }

    fn append_null(&mut self) {
        match self {
            Self::Integer(builder) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Texts(builder) => builder.append_null(),
            Self::Floats(builder) => builder.append_null(),
            Self::Floats32(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Integer(builder) => ArrayBuilder::finish(builder),
            Self::Float(builder) => ArrayBuilder::finish(builder),
            Self::Boolean(builder) => ArrayBuilder::finish(builder),
            Self::Text(builder) => ArrayBuilder::finish(builder),
            Self::Timestamp(builder) => ArrayBuilder::finish(builder),
            Self::Texts(builder) => ArrayBuilder::finish(builder),
            Self::Floats(builder) => ArrayBuilder::finish(builder),
            Self::Floats32(builder) => ArrayBuilder::finish(builder),
        }
    }
}
