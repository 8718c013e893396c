// Rows that a kernel reads four numbers at a time, as floats or in half precision.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cuda/kernel.h"
#include "cuda/staging.h"

namespace fastcf {

// Rows begin at multiples of four numbers and are padded with zeros to one.
template <class Stored>
struct Rows {
    Global<const Stored> data;
    std::int64_t stride;
};

FASTCF_DEVICE void store_as(Global<float> place, float value) {
    *place = value;
}
FASTCF_DEVICE void store_as(Global<half_t> place, float value) {
    *place = to_half(value);
}

// 4 k bytes read and 4 k or 2 k written per row, bound by memory: on an H200 at most 9 G or 12 G rows/s at k = 64.
// Deterministic.
template <class Stored>
FASTCF_KERNEL(256)
void copy_rows_kernel(Global<const float> rows, std::int64_t stride, std::int64_t n, std::int64_t k, Global<Stored> out,
                      std::int64_t out_stride) {
    for (std::int64_t e = global_thread(); e < n * out_stride; e += global_threads()) {
        const std::int64_t row = e / out_stride, f = e % out_stride;
        float value = 0.0f;
        if (f < k) value = rows[row * stride + f];
        store_as(out + e, value);
    }
}

// Calls use(rows, first, n) for some rows after the other, which are on the device then: so that a matrix of the host
// and what is made of it are never both there whole.
template <class Use>
void for_pieces(MatrixView<const float> view, Use use) {
    constexpr std::int64_t kPieceBytes = 64 << 20;
    const std::int64_t piece = std::max<std::int64_t>(1, kPieceBytes / (4 * std::max<std::int64_t>(view.stride, 1)));
    for (std::int64_t first = 0; first < view.rows; first += piece) {
        const std::int64_t n = std::min(piece, view.rows - first);
        const In<float> in(MatrixView<const float>{view.row(first), n, view.cols, view.stride});
        use(in.data(), first, n);
    }
}

// A matrix of floats on the device as such rows: where it lies when it can be read so, else a copy.
template <class Stored>
class StagedRows {
  public:
    explicit StagedRows(MatrixView<const float> view) {
        if constexpr (std::is_same_v<Stored, float>) {
            if (in_chunks(device_only(view.data) ? view.data : nullptr, view.cols, view.stride)) {
                in_ = In<float>(view);
                rows = {in_.data(), view.stride};
                return;
            }
        }
        const std::int64_t stride = blocks_for(view.cols, 4) * 4;
        copy_ = DeviceArray<Stored>(view.rows * stride);
        rows = {copy_.data(), stride};
        if (copy_.empty()) return;
        for_pieces(view, [&](const float* in, std::int64_t first, std::int64_t n) {
            FASTCF_LAUNCH((copy_rows_kernel<Stored>), std::min<std::int64_t>(blocks_for(n * stride, 256), 65536), 256,
                          0, in, view.stride, n, view.cols, copy_.data() + first * stride, stride);
        });
    }
    Rows<Stored> rows;

  private:
    In<float> in_{nullptr, 0};
    DeviceArray<Stored> copy_;
};

}  // namespace fastcf
