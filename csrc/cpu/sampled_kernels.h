// The vector kernel of ops/sampled.h: one tile, one thread.
#pragma once

#include "core/isa.h"
#include "ops/sampled.h"

namespace fastcf {

struct SampledTileArgs {
    const SgdRun* runs;
    long n_runs;
    const unsigned short* items;  // chosen: positions in the tile's item block
    const float* weights;
    float* user_factors;
    const float* user_keep;  // 1 / (1 + lr r), and with the biases' rates
    float* item_factors;     // this and the next three: of the tile's item block
    float* item_bias;
    const float* item_keep;
    const float* item_bias_keep;
    float* drawn_factors;  // this and the next three: of the block that items are drawn from
    float* drawn_bias;
    const float* correction;
    const AliasSlot* slots;
    unsigned n_slots;
    unsigned first_drawn;    // the block's first position
    float share;             // of a drawn item
    unsigned long long key;  // of the stream of draws
    long first_draw;         // number of the tile's first, or of every run's
    const int64_t* offsets;  // this and the next five: see SampledItems
    const int32_t* chosen;
    const int32_t* item_rows;
    const int64_t* filter_begins;
    const int32_t* filter_shifts;
    const uint32_t* filter;
    long stride;
    int n_drawn;
    float learning_rate, item_learning_rate, bias_learning_rate;
    bool bias, by_user;
    SampledCost cost;
};

// Runs that advance together, and choices of each that take their slopes at one point.
struct SampledTogether {
    int runs, choices;
};

struct SampledKernels {
    void (*tile)(const SampledTileArgs& args);
    SampledTogether (*together)(long stride, int n_drawn);
};

FASTCF_KERNEL_TABLES(SampledKernels, sampled_kernels)

}  // namespace fastcf
