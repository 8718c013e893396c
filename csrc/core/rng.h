// Counter-based random numbers: the n-th draw of a stream is a pure function of (seed, stream, n), so results do not
// depend on how many threads draw, or in which order.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/mix64.h"

namespace fastcf {

// A random stream keyed by (seed, stream). `at(n)` is stateless; `next()` walks the same sequence.
class Rng {
  public:
    FASTCF_HD Rng(std::uint64_t seed, std::uint64_t stream) : key_(random_key(seed, stream)) {}

    FASTCF_HD std::uint64_t at(std::uint64_t n) const { return random_word(key_, n); }
    FASTCF_HD std::uint64_t next() { return at(counter_++); }

    // Uniform on [0, 1) with 53 random bits.
    FASTCF_HD double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

    // Uniform on [0, bound) (Lemire's multiply-shift; the bias is below bound / 2^64). bound must be positive.
    FASTCF_HD std::uint64_t below(std::uint64_t bound) {
        return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
    }

    // Standard normal (Box and Muller 1958); two draws of the stream each.
    FASTCF_HD double normal() {
        const double u = 1.0 - uniform();
        const double v = uniform();
        return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
    }

  private:
    std::uint64_t key_;
    std::uint64_t counter_ = 0;
};

// Fisher-Yates shuffle with draws of `rng`.
template <class T>
void shuffle(T* values, std::int64_t n, Rng rng) {
    for (std::int64_t i = n - 1; i > 0; --i) {
        const auto j = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(i) + 1));
        const T swap = values[i];
        values[i] = values[j];
        values[j] = swap;
    }
}

}  // namespace fastcf
