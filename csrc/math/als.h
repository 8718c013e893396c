// What the solution of a row by normal equations is made of, whoever computes it.
#pragma once

#include <stdint.h>

#include "core/device.h"

namespace fastcf {

// A pivot of Cholesky's factorisation, relative to the diagonal entry it came from, that rounding leaves of a zero.
inline constexpr float kSmallestPivot = 1e-6f;

// The penalty of a row's factors: reg n^exponent, and none without ratings.
FASTCF_FORMULA float als_penalty(int64_t n, double reg, double exponent) {
    return n == 0 ? 0.0f : static_cast<float>(reg * __builtin_pow(static_cast<double>(n), exponent));
}

}  // namespace fastcf
