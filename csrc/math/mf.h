// Matrix factorisation's prediction.
#pragma once

#include <stdint.h>

#include "core/device.h"

namespace fastcf {

// y_ui = offset_i + b_u + b_i + <p_u, q_i>, summed in this order. Koren, Bell and Volinsky 2009, equation 4, with the
// mean generalised to the normalisation offset of the item.
template <class T>
FASTCF_FORMULA T mf_prediction(T offset, T user_bias, T item_bias, T product) {
    return offset + user_bias + item_bias + product;
}

// |row|^2 in float64. Eight sums in flight: one would wait for the adder at every factor.
template <class T>
FASTCF_FORMULA double squared_norm(const T* row, int64_t n) {
    double sums[8] = {};
    int64_t f = 0;
    for (; f + 8 <= n; f += 8)
        for (int lane = 0; lane < 8; ++lane)
            sums[lane] += static_cast<double>(row[f + lane]) * static_cast<double>(row[f + lane]);
    for (; f < n; ++f) sums[0] += static_cast<double>(row[f]) * static_cast<double>(row[f]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace fastcf
