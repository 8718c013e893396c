#include "networks/feature_rows.h"

#include "core/check.h"
#include "ops/rows.h"

namespace fastcf {

template <class T>
FeatureRows<T>::FeatureRows(const Features<T>& features)
    : n_rows_(features.rows()), n_dense_(features.dense.cols), sparse_(features.structure.cols > 0) {
    check(features.dense.rows == n_rows_, "FeatureRows: both parts must have as many rows; got ", n_rows_, " and ",
          features.dense.rows);
    check(n_rows_ < INT32_MAX && features.structure.cols < INT32_MAX,
          "FeatureRows: rows and columns must be fewer "
          "than 2^31; got ",
          n_rows_, " and ", features.structure.cols);
    if (sparse_) sparse_rows_ = RowBatches<T>({features.structure, features.values, nullptr, nullptr}, 1, 0.0, 0);
    if (n_dense_ > 0) dense_rows_ = DeviceArray<T>(features.dense.data, n_rows_ * n_dense_);
}

template <class T>
FeatureBatch<T> FeatureRows<T>::take(VectorView<const std::int32_t> rows, const std::int32_t* host_rows,
                                     int n_threads) {
    FeatureBatch<T> batch;
    batch.rows = rows.size;
    if (sparse_) batch.sparse = sparse_rows_.of({host_rows, rows.size});
    if (n_dense_ > 0) {
        taken_.reserve(rows.size * n_dense_);
        const MatrixView<T> taken{taken_.data(), rows.size, n_dense_, n_dense_};
        gather_rows<T>({dense_rows_.data(), n_rows_, n_dense_, n_dense_}, rows, {}, taken, n_threads);
        batch.dense = {taken.data, taken.rows, taken.cols, taken.stride};
    }
    return batch;
}

template class FeatureRows<float>;
template class FeatureRows<double>;

}  // namespace fastcf
