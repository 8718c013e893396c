// Lays ratings out for ops/sgd.h, whatever the device.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/view.h"
#include "ops/sgd.h"
#include "train/trainer.h"

namespace fastcf {

// Positions come from seeded permutations. `item_offset` (n_items, or null) or else `global_offset` is subtracted from
// every rating. weights may be null.
SgdTiles build_sgd_tiles(const CsrView& ratings, const float* weights, const float* item_offset, float global_offset,
                         const SgdGrid& grid, std::uint64_t seed, int n_threads);

// The rounds of an epoch in seeded order.
std::vector<std::int32_t> sgd_rounds(const SgdTiles& tiles, std::uint64_t round_seed);
std::vector<std::int32_t> sgd_rounds(int n_rounds, std::uint64_t round_seed);

// The rows of the ratings of tiles, in the order in which they are laid out and trained on.
class TileOrder {
  public:
    explicit TileOrder(const SgdTiles& tiles);

    void append(int user_block, int item_block, TrainingOrder& order) const;

  private:
    const SgdTiles& tiles_;
    std::vector<std::int32_t> user_rows_, item_rows_;
    HostView<const SgdRun> runs_;
    HostView<const std::uint16_t> items_;
};

}  // namespace fastcf
