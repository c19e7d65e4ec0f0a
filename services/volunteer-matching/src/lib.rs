//! volunteer-matching
