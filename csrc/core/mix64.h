// The mixing function behind every random number here.
#pragma once

#include <stdint.h>

#include "core/device.h"

namespace fastcf {

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words with full avalanche.
FASTCF_FORMULA uint64_t mix64(uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

// The key of a random stream, and its n-th word.
FASTCF_FORMULA uint64_t random_key(uint64_t seed, uint64_t stream) {
    return mix64(mix64(seed) ^ (stream * 0xd1342543de82ef95ULL));
}
FASTCF_FORMULA uint64_t random_word(uint64_t key, uint64_t n) {
    return mix64(key ^ mix64(n));
}

}  // namespace fastcf
