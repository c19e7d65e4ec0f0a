//! `jianghan bench`: measures a running shape. `infra/bench` calls it.
