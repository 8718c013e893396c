// Random numbers of a distribution from random bits, with nothing but additions, products, a root and integer shifts:
// compilers turn loops over them into vector code.
#pragma once

#include <stdint.h>

#include "core/device.h"

namespace fastcf {

// Uniform on (-1, 1) and symmetric: an odd multiple of 2^-24, which a float holds exactly.
FASTCF_FORMULA float symmetric_uniform(int32_t bits) {
    return static_cast<float>(bits >> 8) * 0x1.0p-23f + 0x1.0p-24f;
}

// log(y) for 2^-60 < y <= 1, to 1e-7 absolutely: y = 2^e m with m in [2/3, 4/3), and a polynomial fitted to log(m).
FASTCF_FORMULA float log_of_fraction(float y) {
    int32_t word;
    __builtin_memcpy(&word, &y, sizeof word);
    const int32_t e = (word - 0x3f2aaaab) >> 23;
    word -= e * (1 << 23);
    float m;
    __builtin_memcpy(&m, &word, sizeof m);
    const float t = m - 1.0f;
    float p = 0.14394411f;
    p = p * t - 0.15265518f;
    p = p * t + 0.13917038f;
    p = p * t - 0.1644744f;
    p = p * t + 0.20016229f;
    p = p * t - 0.25005266f;
    p = p * t + 0.33333108f;
    return static_cast<float>(e) * 0.69314718f + (t - t * t * (0.5f - t * p));
}
FASTCF_FORMULA double log_of_fraction(double y) {
    return __builtin_log(y);
}

// The standard normal quantile of (1 + x) / 2, -1 < x < 1: sqrt(2) erfinv(x), with the single-precision polynomials of
// M. Giles, "Approximating the erfinv function", GPU Computing Gems, 2011.
FASTCF_FORMULA float normal_quantile(float x) {
    const float w = -log_of_fraction((1.0f - x) * (1.0f + x));
    const float c = w - 2.5f;
    float p = 2.81022636e-08f;
    p = p * c + 3.43273939e-07f;
    p = p * c - 3.5233877e-06f;
    p = p * c - 4.39150654e-06f;
    p = p * c + 0.00021858087f;
    p = p * c - 0.00125372503f;
    p = p * c - 0.00417768164f;
    p = p * c + 0.246640727f;
    p = p * c + 1.50140941f;
    const float s = __builtin_sqrtf(w < 0.0f ? 0.0f : w) - 3.0f;
    float q = -0.000200214257f;
    q = q * s + 0.000100950558f;
    q = q * s + 0.00134934322f;
    q = q * s - 0.00367342844f;
    q = q * s + 0.00573950773f;
    q = q * s - 0.0076224613f;
    q = q * s + 0.00943887047f;
    q = q * s + 1.00167406f;
    q = q * s + 2.83297682f;
    return (w < 5.0f ? p : q) * x * 1.41421356f;
}

}  // namespace fastcf
