// What trainers of factor models share: the arrays that go in and out, and memory on cache lines.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/aligned.h"
#include "core/check.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/view.h"

namespace fastcf {

inline constexpr std::int64_t kRowAlign = 16;  // floats: one cache line, the widest vector
inline constexpr std::int64_t kRowGrain = 4096;

inline std::int64_t row_stride(std::int64_t n_factors) {
    return (n_factors + kRowAlign - 1) / kRowAlign * kRowAlign;
}

// Factors (n_users, k) and (n_items, k); biases are empty for models without them.
struct FactorArrays {
    MatrixView<float> user_factors, item_factors;
    VectorView<float> user_bias, item_bias;
};

inline void check_factor_arrays(const FactorArrays& arrays, std::int64_t n_users, std::int64_t n_items,
                                std::int64_t n_factors, bool bias, const char* caller) {
    const auto shape = [&](const MatrixView<float>& m, std::int64_t rows, const char* name) {
        check(m.rows == rows && m.cols == n_factors, caller, ": ", name, " must have shape (", rows, ", ", n_factors,
              "); got (", m.rows, ", ", m.cols, ")");
    };
    shape(arrays.user_factors, n_users, "user_factors");
    shape(arrays.item_factors, n_items, "item_factors");
    if (!bias) return;
    check(arrays.user_bias.size == n_users, caller, ": user_bias must have ", n_users, " entries; got ",
          arrays.user_bias.size);
    check(arrays.item_bias.size == n_items, caller, ": item_bias must have ", n_items, " entries; got ",
          arrays.item_bias.size);
}

// Rows into a device array with `stride` floats to a row, zeros at their ends; and back.
inline void upload_rows(const MatrixView<float>& from, DeviceArray<float>& to, std::int64_t stride) {
    HostView<float> host(to, false);
    for (std::int64_t r = 0; r < from.rows; ++r) {
        float* row = host.data() + r * stride;
        std::fill_n(std::copy_n(from.row(r), from.cols, row), stride - from.cols, 0.0f);
    }
    host.finish();
}
inline void download_rows(DeviceArray<float>& from, std::int64_t stride, const MatrixView<float>& to) {
    HostView<float> host(from);
    for (std::int64_t r = 0; r < to.rows; ++r) std::copy_n(host.data() + r * stride, to.cols, to.row(r));
}

inline AlignedBuffer<float> zeros(std::int64_t n) {
    AlignedBuffer<float> buffer(n);
    std::fill_n(buffer.data(), n, 0.0f);
    return buffer;
}

// Copies into memory that is kept from one time to the next: fresh pages would cost more than the copy.
inline void copy_buffer(const AlignedBuffer<float>& from, AlignedBuffer<float>& to, int n_threads) {
    if (to.size() != from.size()) to = AlignedBuffer<float>(from.size());
    parallel_chunks(from.size(), std::int64_t{1} << 18, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        std::copy(from.data() + begin, from.data() + end, to.data() + begin);
    });
}

}  // namespace fastcf
