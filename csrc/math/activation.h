// Activation functions of network layers, and their slopes as functions of the value, not of the argument: a layer need
// not keep both.
#pragma once

#include <type_traits>

#include "core/device.h"
#include "core/mix64.h"
#include "math/loss.h"

namespace fastcf {

enum class Activation { identity, sigmoid, tanh, relu, leaky_relu, elu, selu };

// Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks", NIPS 2017: with these constants
// layers keep mean 0 and variance 1.
#define FASTCF_SELU_SCALE 1.0507009873554805
#define FASTCF_SELU_ALPHA 1.6732632423543772
// Of leaky ReLU, for negative arguments (Maas, Hannun and Ng, 2013).
#define FASTCF_LEAK 0.01

// e^x - 1 for x <= 0. float: by the series near 0, where e^x - 1 loses its digits; six terms, off by a float's
// rounding.
FASTCF_FORMULA float expm1_of_negative(float x) {
    const float series =
        x * (1.0f + x * (1.0f / 2 + x * (1.0f / 6 + x * (1.0f / 24 + x * (1.0f / 120 + x * (1.0f / 720))))));
    const float difference = exp_of_negative(x) - 1.0f;
    return x > -0.125f ? series : difference;
}
FASTCF_FORMULA double expm1_of_negative(double x) {
    return __builtin_expm1(x);
}

// tanh(x) = (1 - t) / (1 + t) with t = e^(-2|x|), by way of e^x - 1, which keeps small x exact.
template <class T>
FASTCF_FORMULA T tanh_of(T x) {
    const T magnitude = x < T(0) ? -x : x;
    const T t = expm1_of_negative(T(-2) * magnitude);
    const T value = -t / (T(2) + t);
    return x < T(0) ? -value : value;
}

template <Activation A, class T>
FASTCF_FORMULA T activation(T z) {
    const T negative = z < T(0) ? z : T(0);
    if constexpr (A == Activation::sigmoid) return sigmoid(z);
    if constexpr (A == Activation::tanh) return tanh_of(z);
    if constexpr (A == Activation::relu) return z < T(0) ? T(0) : z;  // NaN stays NaN
    if constexpr (A == Activation::leaky_relu) return z < T(0) ? T(FASTCF_LEAK) * z : z;
    if constexpr (A == Activation::elu) return z < T(0) ? expm1_of_negative(negative) : z;
    if constexpr (A == Activation::selu)
        return T(FASTCF_SELU_SCALE) * (z < T(0) ? T(FASTCF_SELU_ALPHA) * expm1_of_negative(negative) : z);
    return z;
}

// g'(z) from y = g(z). Where g has a kink, the slope of its left side.
template <Activation A, class T>
FASTCF_FORMULA T activation_slope(T y) {
    if constexpr (A == Activation::sigmoid) return y * (T(1) - y);
    if constexpr (A == Activation::tanh) return (T(1) - y) * (T(1) + y);
    if constexpr (A == Activation::relu) return y > T(0) ? T(1) : T(0);
    if constexpr (A == Activation::leaky_relu) return y > T(0) ? T(1) : T(FASTCF_LEAK);
    if constexpr (A == Activation::elu) return y > T(0) ? T(1) : y + T(1);
    if constexpr (A == Activation::selu)
        return y > T(0) ? T(FASTCF_SELU_SCALE) : y + T(FASTCF_SELU_SCALE * FASTCF_SELU_ALPHA);
    return T(1);
}

// Calls body(constant), whose type has the kind as its `value`.
template <class Body>
static inline void with_activation(Activation kind, Body body) {
    switch (kind) {
        case Activation::identity:
            return body(std::integral_constant<Activation, Activation::identity>{});
        case Activation::sigmoid:
            return body(std::integral_constant<Activation, Activation::sigmoid>{});
        case Activation::tanh:
            return body(std::integral_constant<Activation, Activation::tanh>{});
        case Activation::relu:
            return body(std::integral_constant<Activation, Activation::relu>{});
        case Activation::leaky_relu:
            return body(std::integral_constant<Activation, Activation::leaky_relu>{});
        case Activation::elu:
            return body(std::integral_constant<Activation, Activation::elu>{});
        case Activation::selu:
            return body(std::integral_constant<Activation, Activation::selu>{});
    }
}

// What dropout does to a kept element, x <- scale x + shift, and what a dropped one becomes.
template <class T>
struct DropoutScale {
    T scale, shift, dropped;
};

// alpha: with keep probability q and SELU's lower limit d = -scale alpha, mean and variance stay for
// a = (q + d^2 q (1 - q))^(-1/2) and b = -a (1 - q) d.
FASTCF_FORMULA DropoutScale<double> dropout_scale(double rate, bool alpha) {
    const double q = 1.0 - rate, d = -FASTCF_SELU_SCALE * FASTCF_SELU_ALPHA;
    if (!alpha) return {1.0 / q, 0.0, 0.0};
    const double a = 1.0 / __builtin_sqrt(q + d * d * q * rate), b = -a * rate * d;
    return {a, b, a * d + b};
}

// Whether element n of the stream stays.
FASTCF_FORMULA bool dropout_keeps(double rate, uint64_t key, uint64_t n) {
    return static_cast<double>(random_word(key, n) >> 11) * 0x1.0p-53 >= rate;
}

}  // namespace fastcf
