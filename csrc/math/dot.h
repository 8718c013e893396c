// Inner products and sums of squares in float64.
#pragma once

#include <stdint.h>

#include "core/device.h"

namespace fastcf {

// <a, b>. Eight sums in flight: one would wait for the adder at every product.
template <class T>
FASTCF_FORMULA double dot(const T* a, const T* b, int64_t n) {
    double sums[8] = {};
    int64_t f = 0;
    for (; f + 8 <= n; f += 8)
        for (int lane = 0; lane < 8; ++lane)
            sums[lane] += static_cast<double>(a[f + lane]) * static_cast<double>(b[f + lane]);
    for (; f < n; ++f) sums[0] += static_cast<double>(a[f]) * static_cast<double>(b[f]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// |row|^2
template <class T>
FASTCF_FORMULA double squared_norm(const T* row, int64_t n) {
    return dot(row, row, n);
}

}  // namespace fastcf
