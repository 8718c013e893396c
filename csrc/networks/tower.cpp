#include "networks/tower.h"

#include <algorithm>

#include "core/check.h"
#include "core/interrupt.h"
#include "ops/gemm.h"
#include "ops/normalize.h"
#include "ops/spmm.h"

namespace fastcf {
namespace {

// The first layer only adds its biases to products that come in; the last has no activation.
std::vector<DenseLayer> layers_of(const TowerConfig& config) {
    const std::vector<std::int64_t>& sizes = config.layers;
    std::vector<DenseLayer> layers;
    for (std::size_t l = 0; l < sizes.size(); ++l) {
        const bool last = l + 1 == sizes.size();
        layers.push_back({l == 0 ? sizes[0] : sizes[l - 1], sizes[l], static_cast<int>(l) - 1, false,
                          last ? Activation::identity : config.activation, last ? 0.0 : config.dropout});
    }
    return layers;
}

template <class T>
void check_weights(const MatrixView<T>& weights, std::int64_t rows, std::int64_t cols, const char* caller,
                   const char* name) {
    check(weights.rows == rows && weights.cols == cols, caller, ": ", name, " must have shape (", rows, ", ", cols,
          "); got (", weights.rows, ", ", weights.cols, ")");
}

}  // namespace

void check_tower(const TowerConfig& config, const char* caller) {
    check(!config.layers.empty(), caller, ": layers must not be empty");
    for (const std::int64_t size : config.layers)
        check(size >= 1 && size <= (1 << 20), caller, ": layers must lie in [1, 2^20]; got ", size);
    check(config.dropout >= 0 && config.dropout < 1, caller, ": dropout must lie in [0, 1); got ", config.dropout);
    check(config.length >= 0 && config.length <= 1e30, caller, ": length must not be negative; got ", config.length);
}

template <class T>
Tower<T>::Tower(const TowerConfig& config, const FeatureCounts& features, OptimizerKind kind)
    : config_(config),
      features_(features),
      sparse_(features.sparse, config.layers.front(), kind),
      dense_(1, features.dense * config.layers.front(), kind),
      hidden_(layers_of(config), false, kind) {}

template <class T>
void Tower<T>::check_arrays(const TowerArrays<T>& arrays, const char* caller) const {
    check_weights(arrays.sparse_weights, features_.sparse, width(), caller, "sparse_weights");
    check_weights(arrays.dense_weights, features_.dense, width(), caller, "dense_weights");
    hidden_.check_arrays(arrays.hidden, caller);
}

template <class T>
void Tower<T>::upload(const TowerArrays<T>& from) {
    check_arrays(from, "Tower");
    sparse_.values.upload(from.sparse_weights.data);
    dense_.values.upload(from.dense_weights.data);
    hidden_.upload(from.hidden);
    sparse_.forget();
    dense_.forget();
}

template <class T>
void Tower<T>::download(const TowerArrays<T>& to) {
    check_arrays(to, "Tower");
    sparse_.values.download(to.sparse_weights.data);
    dense_.values.download(to.dense_weights.data);
    hidden_.download(to.hidden);
}

template <class T>
void Tower<T>::download_gradient(const TowerArrays<T>& to, VectorView<const std::int32_t> touched) {
    check_arrays(to, "Tower");
    std::fill_n(to.sparse_weights.data, features_.sparse * width(), T(0));
    spread_rows(sparse_gradient_, touched, width(), to.sparse_weights.data);
    if (features_.dense > 0) dense_gradient_.download(to.dense_weights.data);
    hidden_.download_gradient(to.hidden);
}

template <class T>
MatrixView<const T> Tower<T>::forward(const FeatureBatch<T>& batch, const DropoutSeed& dropout, int n_threads) {
    products_.reserve(batch.rows * width());
    const MatrixView<T> products{products_.data(), batch.rows, width(), width()};
    if (features_.dense > 0)
        gemm<T>(false, false, T(1), batch.dense, {dense_.values.data(), features_.dense, width(), width()}, T(0),
                products, n_threads);
    if (features_.sparse > 0) {
        const RowBatch<T>& rows = batch.sparse;
        spmm<T>({rows.indptr, rows.columns, nullptr, rows.inputs, rows.rows, rows.n}, sparse_.view(), products, {},
                n_threads, features_.dense > 0);
    }
    ends_ = hidden_.forward(products, dropout, n_threads);
    if (config_.length == 0) return ends_;
    vectors_.reserve(batch.rows * size());
    const MatrixView<T> vectors{vectors_.data(), batch.rows, size(), size()};
    normalize<T>(ends_, config_.length, vectors, n_threads);
    return {vectors.data, vectors.rows, vectors.cols, vectors.stride};
}

template <class T>
void Tower<T>::backward(const FeatureBatch<T>& batch, MatrixView<T> gradient, int n_threads) {
    if (config_.length > 0) normalize_gradient<T>(ends_, config_.length, gradient, n_threads);
    const MatrixView<T> down = hidden_.backward({products_.data(), batch.rows, width(), width()}, gradient, n_threads);
    const MatrixView<const T> slopes{down.data, down.rows, down.cols, down.stride};
    if (features_.dense > 0) {
        dense_gradient_.reserve(features_.dense * width());
        gemm<T>(true, false, T(1), batch.dense, slopes, T(0),
                {dense_gradient_.data(), features_.dense, width(), width()}, n_threads);
    }
    if (features_.sparse > 0) {
        const RowBatch<T>& rows = batch.sparse;
        const std::int64_t touched = rows.touched.size;
        sparse_gradient_.reserve(touched * width());
        spmm<T>({rows.column_indptr, rows.column_rows, rows.column_entries, rows.inputs, touched, rows.n}, slopes,
                {sparse_gradient_.data(), touched, width(), width()}, {}, n_threads);
    }
}

template <class T>
void Tower<T>::vectors(FeatureRows<T>& features, VectorView<const std::int32_t> rows, const std::int32_t* host_rows,
                       T* out, int n_threads) {
    for (std::int64_t begin = 0; begin < rows.size; begin += kPass) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t n = std::min(kPass, rows.size - begin);
        const FeatureBatch<T> batch = features.take({rows.data + begin, n}, host_rows + begin, n_threads);
        const MatrixView<const T> found = forward(batch, {}, n_threads);
        device_copy(out + begin * size(), found.data, n * size() * static_cast<std::int64_t>(sizeof(T)), n_threads);
    }
}

template <class T>
void Tower<T>::catch_up(const Optimizer& optimizer, std::int64_t step, VectorView<const std::int32_t> touched,
                        int n_threads) {
    optimizer_catch_up<T>(optimizer, step, sparse_.state(), touched, n_threads);
}

template <class T>
void Tower<T>::step(const Optimizer& optimizer, double learning_rate, std::int64_t number,
                    VectorView<const std::int32_t> touched, int n_threads) {
    optimizer_step_rows<T>(optimizer, learning_rate, number, sparse_.state(), touched, sparse_gradient_.data(), width(),
                           n_threads);
    const OptimizerRows<T> dense = dense_.state();
    if (dense.cols > 0)
        optimizer_step<T>(optimizer, learning_rate, number, dense.cols, dense.parameters, dense_gradient_.data(),
                          dense.first, dense.second, n_threads);
    hidden_.step(optimizer, learning_rate, number, n_threads);
}

template <class T>
void Tower<T>::flush(const Optimizer& optimizer, std::int64_t step, int n_threads) {
    optimizer_flush<T>(optimizer, step, sparse_.state(), n_threads);
}

template <class T>
double Tower<T>::squared_norm(int n_threads) const {
    const MatrixView<const T> dense{dense_.values.data(), features_.dense, width(), width()};
    return hidden_.squared_norm(n_threads) + sparse_.squared_norm(n_threads) + penalty<T>(dense, {}, n_threads);
}

template <class T>
void Tower<T>::save_best(int n_threads) {
    sparse_.save_best(n_threads);
    dense_.save_best(n_threads);
    hidden_.save_best(n_threads);
}

template <class T>
void Tower<T>::restore_best(int n_threads) {
    sparse_.restore_best(n_threads);
    dense_.restore_best(n_threads);
    hidden_.restore_best(n_threads);
}

template <class T>
void Tower<T>::list_state(StateFields& fields, const std::string& name) {
    sparse_.list_state(fields, name + ".sparse");
    dense_.list_state(fields, name + ".dense");
    hidden_.parameters().list_state(fields, name + ".hidden");
}

template class Tower<float>;
template class Tower<double>;

}  // namespace fastcf
