// Lays ratings out for ops/sgd.h, whatever the device.
#pragma once

#include <cstdint>
#include <vector>

#include "core/view.h"
#include "ops/sgd.h"

namespace fastcf {

// Positions come from seeded permutations. `item_offset` (n_items, or null) or else `global_offset` is subtracted from
// every rating. weights may be null.
SgdTiles build_sgd_tiles(const CsrView& ratings, const float* weights, const float* item_offset, float global_offset,
                         const SgdGrid& grid, std::uint64_t seed, int n_threads);

// The rounds of an epoch in seeded order.
std::vector<std::int32_t> sgd_rounds(const SgdTiles& tiles, std::uint64_t round_seed);

}  // namespace fastcf
