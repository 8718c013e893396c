// The vector part of prediction at pairs.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

struct PredictKernels {
    // out[e] = <users[user_rows[e]], items[item_rows[e]]>, 0 where either row is negative. Rows hold k floats
    // and begin `user_stride` and `item_stride` floats apart.
    void (*pair_products)(const float* users, std::int64_t user_stride, const float* items, std::int64_t item_stride,
                          std::int64_t k, const std::int32_t* user_rows, const std::int32_t* item_rows, std::int64_t n,
                          float* out);
};

FASTCF_KERNEL_TABLES(PredictKernels, predict_kernels)

}  // namespace fastcf
