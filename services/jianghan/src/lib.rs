//! jianghan
