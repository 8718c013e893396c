// The vector kernel of ops/sgd.h: one tile, one thread.
#pragma once

#include "core/isa.h"
#include "ops/sgd.h"

namespace fastcf {

struct SgdTileArgs {
    const SgdRun* runs;
    long n_runs;
    const unsigned short* items;
    const float* values;
    const float* weights;  // null when every weight is 1
    float* user_factors;
    float* user_bias;
    const float* user_keep;  // 1 / (1 + lr r), and with the biases' rates
    const float* user_bias_keep;
    float* item_factors;  // this and the next three: of the tile's item block
    float* item_bias;
    const float* item_keep;
    const float* item_bias_keep;
    long stride;
    float learning_rate, bias_learning_rate;
    float offset;  // of predictions, for the logistic cost only
    bool bias;
    Loss loss;
};

struct SgdKernels {
    double (*tile)(const SgdTileArgs& args);  // returns the tile's cost, see sgd_epoch
    int (*interleave)(long stride);
};

FASTCF_KERNEL_TABLES(SgdKernels, sgd_kernels)

}  // namespace fastcf
