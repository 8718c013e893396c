// Sums of weighted rows, and comparing them: the vector part of ops/item_scores.h.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

inline constexpr int kItemPanel = 64;  // columns of a packed panel, whatever the lanes

// A sparse row times a dense matrix.
struct WeightedRows {
    const float* values;          // (n,)
    const std::int32_t* indices;  // (n,), rows of weights
    std::int64_t n;
    const float* weights;
    std::int64_t stride;  // of weights
};

struct ItemScoresKernels {
    // out[c] = sum of values times column c, in the order of the entries, for the first `cols` columns.
    void (*row)(const WeightedRows& rows, std::int64_t cols, float* out);
    // The same for a panel of kItemPanel columns; returns which of them are not <= threshold, as bits.
    std::uint64_t (*panel)(const WeightedRows& rows, float threshold, float* out);
    // The same for one column, that `weights` begins with.
    float (*pair)(const WeightedRows& rows);
};

FASTCF_KERNEL_TABLES(ItemScoresKernels, item_scores_kernels)

}  // namespace fastcf
