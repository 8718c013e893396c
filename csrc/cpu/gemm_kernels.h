// The vector part of products: C <- alpha op(A) op(B) + beta C of one thread, in float32.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

struct GemmPart {
    bool transpose_a;
    bool transpose_b;
    float alpha;
    float beta;
    const float* a;
    std::int64_t a_stride;
    const float* b;
    std::int64_t b_stride;
    float* c;
    std::int64_t c_stride;
    std::int64_t m;
    std::int64_t n;
    std::int64_t k;
};

struct GemmKernels {
    // An element of C is the same whatever else the part contains: its products are added in an order that depends on
    // k alone. `workspace` begins on a cache line and has room for workspace_size(part) floats.
    void (*product)(const GemmPart& part, float* workspace);
    std::int64_t (*workspace_size)(const GemmPart& part);
    std::int64_t tile_cols;  // a part of C that has a multiple of so many columns wastes no lanes
};

FASTCF_KERNEL_TABLES(GemmKernels, gemm_kernels)

}  // namespace fastcf
