// The vector part of filling arrays with random numbers.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

struct RandomKernels {
    // out[j] = scale x_j, where words 0, 1, … from `first_word` on of the stream with this key make two numbers each.
    void (*normal)(std::uint64_t key, std::uint64_t first_word, std::int64_t n, float scale, float* out);
    void (*uniform)(std::uint64_t key, std::uint64_t first_word, std::int64_t n, float scale, float* out);
};

FASTCF_KERNEL_TABLES(RandomKernels, random_kernels)

}  // namespace fastcf
