// Activation functions of network layers, and their slopes as functions of the value, not of the argument: a layer need not
// keep both.
#pragma once

#include "core/device.h"
#include "math/loss.h"

namespace fastcf {

enum class Activation { identity, sigmoid, tanh, relu, leaky_relu, elu, selu };

// Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks", NIPS 2017: with these constants layers
// keep mean 0 and variance 1.
#define FASTCF_SELU_SCALE 1.0507009873554805
#define FASTCF_SELU_ALPHA 1.6732632423543772
// Of leaky ReLU, for negative arguments (Maas, Hannun and Ng, 2013).
#define FASTCF_LEAK 0.01

// e^x - 1 for x <= 0.
template <class T>
FASTCF_FORMULA T expm1_of_negative(T x) {
    // By the series near 0, where e^x - 1 loses its digits. Six terms: below 1e-9 of the result, a float's 6e-8 at most.
    const T series = x * (T(1) + x * (T(1) / 2 + x * (T(1) / 6 + x * (T(1) / 24 + x * (T(1) / 120 + x * (T(1) / 720))))));
    const T difference = exp_of_negative(x) - T(1);
    return x > T(-0.125) ? series : difference;
}
template <>
FASTCF_FORMULA double expm1_of_negative<double>(double x) {
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

}  // namespace fastcf
