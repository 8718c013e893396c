// The one total order of recommendations: score descending, ties by the smaller index. A (score, index) pair becomes
// one unsigned 64-bit key that compares in that order, so selection and sorting work on plain integers.
#pragma once

#include <cstdint>

#include "core/bits.h"
#include "core/device.h"

namespace fastcf {

// Below the key of every pair; the key of "nothing".
inline constexpr std::uint64_t kNoRank = 0;

// The larger key ranks first. −0 and +0 tie. Not for NaN, which has no rank: callers drop it.
FASTCF_HD inline std::uint64_t rank_key(float score, std::int32_t index) {
    const std::uint32_t bits = bit_cast<std::uint32_t>(score + 0.0f);  // −0 becomes +0
    const std::uint32_t ascending = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
    return (static_cast<std::uint64_t>(ascending) << 32) | ~static_cast<std::uint32_t>(index);
}

FASTCF_HD inline float rank_score(std::uint64_t key) {
    const auto ascending = static_cast<std::uint32_t>(key >> 32);
    return bit_cast<float>((ascending >> 31) != 0 ? ascending & 0x7fffffffu : ~ascending);
}

FASTCF_HD inline std::int32_t rank_index(std::uint64_t key) {
    return static_cast<std::int32_t>(~static_cast<std::uint32_t>(key));
}

}  // namespace fastcf
