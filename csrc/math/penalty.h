// The L2 penalty: what a row of parameters pays, and its slope.
#pragma once

#include <stdint.h>

#include "core/device.h"

namespace fastcf {

// The weight of a row's penalty, reg n^exponent for a row with n ratings; 0
// without ratings. An exponent of 0 penalises all rows alike, 1 in proportion
// to their ratings (Zhou, Wilkinson, Schreiber and Pan, "Large-scale parallel
// collaborative filtering for the Netflix prize", AAIM 2008). With exponent -
// 1: the share of one of the row's ratings.
FASTCF_FORMULA float row_penalty(int64_t n, double reg, double exponent) {
    return n == 0 ? 0.0f : static_cast<float>(reg * __builtin_pow(static_cast<double>(n), exponent));
}

// A gradient g and that of weight p^2 / 2.
template <class T>
FASTCF_FORMULA T penalised(T g, T weight, T p) {
    return g + weight * p;
}

}  // namespace fastcf
