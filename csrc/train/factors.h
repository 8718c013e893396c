// What trainers of factor models share: the arrays that go in and out.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/aligned.h"
#include "core/check.h"
#include "core/memory.h"
#include "core/view.h"

namespace fastcf {

inline constexpr std::int64_t kRowGrain = 4096;

// Factors (n_users, k) and (n_items, k); biases may be empty where a side has none.
struct FactorArrays {
    MatrixView<float> user_factors, item_factors;
    VectorView<float> user_bias, item_bias;
};

inline void check_factor_arrays(const FactorArrays& arrays, std::int64_t n_users, std::int64_t n_items,
                                std::int64_t n_factors, bool user_bias, bool item_bias, const char* caller) {
    const auto shape = [&](const MatrixView<float>& m, std::int64_t rows, const char* name) {
        check(m.rows == rows && m.cols == n_factors, caller, ": ", name, " must have shape (", rows, ", ", n_factors,
              "); got (", m.rows, ", ", m.cols, ")");
    };
    shape(arrays.user_factors, n_users, "user_factors");
    shape(arrays.item_factors, n_items, "item_factors");
    const auto length = [&](const VectorView<float>& v, bool needed, std::int64_t n, const char* name) {
        check(v.size == n || (v.size == 0 && !needed), caller, ": ", name, " must have ", n, " entries; got ", v.size);
    };
    length(arrays.user_bias, user_bias, n_users, "user_bias");
    length(arrays.item_bias, item_bias, n_items, "item_bias");
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
// Biases of one side; zeros where it has none.
inline void download_bias(const DeviceArray<float>& from, bool there, const VectorView<float>& to) {
    if (there)
        from.download(to.data);
    else
        std::fill_n(to.data, to.size, 0.0f);
}

}  // namespace fastcf
