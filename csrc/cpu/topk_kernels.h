// The vector part of top-k (and of dense prediction): products of a tile of users with panels of items, compared with
// each user's threshold while the scores are still in registers.
//
// A panel holds `panel_width` items transposed: [k][panel_width]. A user tile holds R users transposed: [k][R].
// A score is bias_i followed by k multiply-adds in the order of the factors, whatever the tile, panel or thread:
// the same pair gives the same bits alone and among millions.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

inline constexpr int kMaxTileUsers = 14;
inline constexpr int kMaxPanelWidth = 32;
inline constexpr int kMaxRowUsers = 4;

struct TopkKernels {
    // Multiplies the tile with panels start, start + 1, ... and stops at the first one where a score is not <= its
    // user's threshold (a NaN score or a NaN threshold stops). Returns that panel, its scores as [R][panel_width] and
    // one bit per score above the threshold for each user; or n_panels when there is none.
    using Scan = std::int64_t (*)(const float* users, std::int64_t k, const float* panels, const float* bias,
                                  std::int64_t n_panels, std::int64_t start, const float* thresholds, float* scores,
                                  std::uint32_t* hits);
    // Transposes `count` rows (1 <= count <= panel_width) into a panel; the lanes left over repeat the first row.
    using Pack = void (*)(const float* const* rows, int count, std::int64_t k, float* panel);

    int panel_width;
    int tile_users;
    Scan scan[kMaxTileUsers + 1];  // by number of users in the tile, 1 to tile_users
    // The same on items as they lie, row by row of k floats, in place of panels: each panel is transposed in registers.
    // For so few users that writing and reading packed panels would cost more than the products.
    Scan scan_rows[kMaxRowUsers + 1];
    Pack pack;
};

FASTCF_KERNEL_TABLES(TopkKernels, topk_kernels)

}  // namespace fastcf
