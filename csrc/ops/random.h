// Arrays of random numbers: initial parameters.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf {

enum class Distribution { normal, uniform };

// out[n] = scale x_n, where x_n depends on (seed, stream, n) only: the same bits for any number of threads, and the
// first numbers of a longer array are those of a shorter one. normal: N(0, 1), by its quantile function of 24 random
// bits, so that |x| < 5.5; uniform: on (-1, 1). Cost: 4 products of 64 bits per two numbers, 30 multiply-adds per
// normal one. Instruction sets and devices may differ in the last bit of normal numbers. n_threads <= 0 means the
// default of the process.
void random_fill(Distribution distribution, std::uint64_t seed, std::uint64_t stream, float scale,
                 VectorView<float> out, int n_threads);

}  // namespace fastcf
