// Rounding to half precision (IEEE 754 binary16), for hosts without instructions for it.
#pragma once

#include <cstdint>

#include "core/bits.h"
#include "core/device.h"

namespace fastcf {

// How numbers are stored that arithmetic takes as float32.
enum class Storage { float32, float16 };

// The nearest number that half precision holds, ties to even: what storing as half and reading back gives. From 65520
// on it is infinity; below 2^-14 the numbers are multiples of 2^-24.
FASTCF_FORMULA float round_to_half(float value) {
    constexpr std::uint32_t kSign = 0x80000000u, kInfinity = 0x7f800000u;
    constexpr std::uint32_t kSmallestNormal = 0x38800000u;  // 2^-14
    constexpr std::uint32_t kTooLarge = 0x47800000u;        // 2^16
    constexpr int kDropped = 13;                            // bits of a float's fraction that a half has not
    const std::uint32_t bits = bit_cast<std::uint32_t>(value), sign = bits & kSign, size = bits & ~kSign;
    if (size > kInfinity) return value;  // NaN
    std::uint32_t rounded = 0;
    if (size < kSmallestNormal) {
        // The last place of a float between 1/2 and 1 is 2^-24: the sum rounds to it.
        rounded = bit_cast<std::uint32_t>((bit_cast<float>(size) + 0.5f) - 0.5f);
    } else {
        const std::uint32_t half_place = (1u << (kDropped - 1)) - 1u + ((size >> kDropped) & 1u);
        rounded = (size + half_place) >> kDropped << kDropped;
        if (rounded >= kTooLarge) rounded = kInfinity;
    }
    return bit_cast<float>(sign | rounded);
}

}  // namespace fastcf
