// One tower of a two-tower network: features in, a vector out. The first layer takes sparse and dense features, the
// layers after it are an Mlp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "networks/feature_rows.h"
#include "networks/mlp.h"
#include "networks/optimized.h"
#include "ops/optimizer.h"

namespace fastcf {

struct TowerConfig {
    std::vector<std::int64_t> layers;  // sizes of the hidden layers and, last, of the vector
    Activation activation = Activation::relu;
    double dropout = 0;  // of the hidden layers' values
    double length = 0;   // that vectors are brought to; 0: they stay as they are
};

void check_tower(const TowerConfig& config, const char* caller);

// First weights (sparse features, layers[0]) and (dense features, layers[0]), and the layers after them with all
// biases.
template <class T>
struct TowerArrays {
    MatrixView<T> sparse_weights, dense_weights;
    typename Mlp<T>::Arrays hidden;
};

template <class T>
class Tower {
  public:
    Tower() = default;
    Tower(const TowerConfig& config, const FeatureCounts& features, OptimizerKind kind);

    std::int64_t size() const { return config_.layers.back(); }  // of the vectors
    void check_arrays(const TowerArrays<T>& arrays, const char* caller) const;
    void upload(const TowerArrays<T>& from);
    void download(const TowerArrays<T>& to);
    // The whole gradient, also of sparse features that the last batch did not have: zeros.
    void download_gradient(const TowerArrays<T>& to, VectorView<const std::int32_t> touched_on_host);

    // A vector per row, which lasts until the next pass. The weights of its sparse features must be up to date.
    MatrixView<const T> forward(const FeatureBatch<T>& batch, const DropoutSeed& dropout, int n_threads);
    // Works out the gradient of all parameters, given that of the vectors, which it overwrites. The batch is that of
    // the forward pass.
    void backward(const FeatureBatch<T>& batch, MatrixView<T> gradient, int n_threads);
    // Vectors of any rows, nothing dropped, into device memory: in passes of so many rows.
    void vectors(FeatureRows<T>& features, VectorView<const std::int32_t> rows, const std::int32_t* host_rows, T* out,
                 int n_threads);
    static constexpr std::int64_t kPass = 1024;

    // Brings weights of sparse features up to date; takes a step with the last gradient; brings all up to date. The
    // weight decay is not that of biases.
    void catch_up(const Optimizer& optimizer, std::int64_t step, VectorView<const std::int32_t> touched, int n_threads);
    void step(const Optimizer& optimizer, double learning_rate, std::int64_t number,
              VectorView<const std::int32_t> touched, int n_threads);
    void flush(const Optimizer& optimizer, std::int64_t step, int n_threads);

    double squared_norm(int n_threads) const;  // of all weights
    void save_best(int n_threads);
    void restore_best(int n_threads);
    void list_state(StateFields& fields, const std::string& name);

  private:
    std::int64_t width() const { return config_.layers.front(); }

    TowerConfig config_;
    FeatureCounts features_;
    OptimizedRows<T> sparse_, dense_;  // a row per feature; as one row
    Mlp<T> hidden_;
    // Of the last batch.
    DeviceArray<T> products_, vectors_, sparse_gradient_, dense_gradient_;
    MatrixView<const T> ends_;  // what came out of the last layer, before it was brought to its length
};

}  // namespace fastcf
