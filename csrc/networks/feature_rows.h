// Features of users or of items, some rows at a time, as the first layer of a network takes them: columns that are
// mostly empty as compressed rows, the others as a dense block.
#pragma once

#include <cstdint>

#include "core/memory.h"
#include "core/view.h"
#include "networks/row_batches.h"

namespace fastcf {

struct FeatureCounts {
    std::int64_t sparse = 0, dense = 0;
};

// In host memory of the caller's; either part may have no columns.
template <class T>
struct Features {
    CsrView structure;               // of the sparse columns
    const T* values = nullptr;       // (nnz,)
    MatrixView<const T> dense = {};  // (rows, dense columns)

    std::int64_t rows() const { return structure.rows; }
    FeatureCounts counts() const { return {structure.cols, dense.cols}; }
};

// Some rows on the device.
template <class T>
struct FeatureBatch {
    std::int64_t rows = 0;
    RowBatch<T> sparse;
    MatrixView<const T> dense;
};

template <class T>
class FeatureRows {
  public:
    FeatureRows() = default;
    // Copies the features.
    explicit FeatureRows(const Features<T>& features);

    std::int64_t n_rows() const { return n_rows_; }
    // Rows by number, as the device and as the host can read them; the batch lasts until the next is asked for.
    FeatureBatch<T> take(VectorView<const std::int32_t> rows, const std::int32_t* host_rows, int n_threads);

  private:
    std::int64_t n_rows_ = 0, n_dense_ = 0;
    bool sparse_ = false;
    RowBatches<T> sparse_rows_;
    DeviceArray<T> dense_rows_, taken_;
};

}  // namespace fastcf
