//! F8: a department's item moves to a community's station with authority, funds and staff, or not at all.

use jianghan::scenario::Scenario;

use crate::World;

/// Rolled back without its staff; in force with all three; ended, and what still arrives is sent back.
pub async fn moves_down(world: &World) {
    world.performs(Scenario::Duty).await;
    world.settles().await;
}
