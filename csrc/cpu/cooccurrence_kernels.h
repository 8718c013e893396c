// The loops of co-occurrence: sums of sparse rows in a dense row, and the search for its large similarities.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

// The denominators of a row: scale * columns[j] + shrinkage; columns may be null: ones.
struct CooccurrenceScale {
    float row;
    const float* columns;
    float shrinkage;
};

struct CooccurrenceKernels {
    // sums[indices[e]] += weight * values[e] for e < n; values may be null: ones. The indices are distinct.
    using Add = void (*)(float* sums, const std::int32_t* indices, const float* values, std::int64_t n, float weight);
    // Writes the columns in [begin, end) whose similarities are above `floor`, and these, ascending, and zeros to the
    // sums; returns how many there are.
    using Scan = std::int64_t (*)(float* sums, std::int64_t begin, std::int64_t end, const CooccurrenceScale& scale,
                                  float floor, std::int32_t* columns, float* similarities);
    // The same for n columns that are named, which may repeat: each is found once at the most.
    using Pick = std::int64_t (*)(float* sums, const std::int32_t* indices, std::int64_t n,
                                  const CooccurrenceScale& scale, float floor, std::int32_t* columns,
                                  float* similarities);

    Add add;
    Scan scan;
    Pick pick;
};

FASTCF_KERNEL_TABLES(CooccurrenceKernels, cooccurrence_kernels)

}  // namespace fastcf
