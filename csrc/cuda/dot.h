// Inner products of a warp.
#pragma once

#include "cuda/kernel.h"

namespace fastcf {

// <a, b> in float64, in every lane of the warp.
template <class T>
FASTCF_DEVICE double warp_dot(Global<const T> a, Global<const T> b, std::int64_t k) {
    double sum = 0.0;
    for (std::int64_t f = lane_index(); f < k; f += kWarp) {
        const T left = a[f], right = b[f];
        sum += static_cast<double>(left) * static_cast<double>(right);
    }
    return warp_sum(sum);
}

}  // namespace fastcf
