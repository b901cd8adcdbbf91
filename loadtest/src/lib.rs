//! A load generator for scoring servers, and the floor to compare them with.
//!
//! A scenario (or flags) becomes [`settings`], these become a checked [`plan`] ([`resolve`]), which [`load`] carries out: each
//! thread has [`lane`]s that send requests over the [`wire`] when the [`schedule`] says so, and [`record`] what became of
//! them. [`report`] is what is written, [`table`] and [`plot`] show it. [`bare`] is the floor. Linux only: it reads `/proc`.

pub mod bare;
pub mod body;
pub mod check;
pub mod cli;
pub mod describe;
mod lane;
pub mod load;
mod pacer;
pub mod plan;
pub mod plot;
pub mod record;
pub mod report;
pub mod resolve;
pub mod scenario;
pub mod schedule;
pub mod settings;
pub mod span;
pub mod table;
pub mod usage;
pub mod wire;
