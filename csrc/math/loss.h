// The costs of one rating, as functions of the prediction z and the rating y.
#pragma once

#include <stdint.h>

#include "core/device.h"

namespace fastcf {

enum class Loss { squared, logistic };

// The costs of a network that has the outputs of a whole row: the same, or one of all outputs together (ops/softmax.h).
enum class NetworkLoss { squared, logistic, multinomial };

// e^x for x <= 0, to two units in the last place: x = n log 2 + r with |r| <= log(2) / 2, and the series of e^r.
// Numbers below e^-87 come out as e^-87. Nothing but additions, products and shifts: compilers turn loops over it into
// vector code.
FASTCF_FORMULA float exp_of_negative(float x) {
    x = x < -87.0f ? -87.0f : x;
    const float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer, held in the low bits
    const float n = shifted - 12582912.0f;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t word;  // unsigned: NaN comes through here too, and may wrap
    __builtin_memcpy(&word, &shifted, sizeof word);
    word = (word - 0x4b400000u + 127u) << 23;
    float power;
    __builtin_memcpy(&power, &word, sizeof power);
    return p * power;
}
FASTCF_FORMULA double exp_of_negative(double x) {
    return __builtin_exp(x);
}

// log(1 + t) for 0 <= t <= 1. With s = t / (2 + t): 2 artanh(s), s <= 1/3, a series in s^2.
FASTCF_FORMULA float log1p_of_fraction(float t) {
    const float s = t / (2.0f + t), w = s * s;
    float p = 2.0f / 13;
    p = p * w + 2.0f / 11;
    p = p * w + 2.0f / 9;
    p = p * w + 2.0f / 7;
    p = p * w + 2.0f / 5;
    p = p * w + 2.0f / 3;
    p = p * w + 2.0f;
    return p * s;
}
FASTCF_FORMULA double log1p_of_fraction(double t) {
    return __builtin_log1p(t);
}

// 1 / (1 + e^-z), without overflow at either end.
template <class T>
FASTCF_FORMULA T sigmoid(T z) {
    const T t = exp_of_negative(z < T(0) ? z : -z);
    return (z < T(0) ? t : T(1)) / (T(1) + t);
}

// The loss at z, and its derivative. squared: (z - y)^2 / 2 and z - y. logistic: softplus(z) - y z and sigmoid(z) - y,
// for y in [0, 1]; softplus(z) = max(z, 0) + log(1 + e^-|z|), and max(z, 0) - y z is formed first, without
// cancellation.
template <class T>
FASTCF_FORMULA T squared_loss(T z, T y, T* slope) {
    *slope = z - y;
    return T(0.5) * (z - y) * (z - y);
}
template <class T>
FASTCF_FORMULA T logistic_loss(T z, T y, T* slope) {
    const bool negative = z < T(0);
    const T t = exp_of_negative(negative ? z : -z);
    *slope = (negative ? t : T(1)) / (T(1) + t) - y;
    return (negative ? -y * z : (T(1) - y) * z) + log1p_of_fraction(t);
}

template <Loss L, class T>
FASTCF_FORMULA T loss_of(T z, T y, T* slope) {
    if constexpr (L == Loss::logistic) return logistic_loss(z, y, slope);
    return squared_loss(z, y, slope);
}

// The second derivative of the logistic loss: keeps its digits for large |z|.
template <class T>
FASTCF_FORMULA T logistic_curvature(T z) {
    const T t = exp_of_negative(z < T(0) ? z : -z);
    return t / ((T(1) + t) * (T(1) + t));
}

}  // namespace fastcf
