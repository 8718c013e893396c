// Dense layers one after the other: what every network of this library is made of between its sparse ends. Written
// against csrc/ops only, so it runs on every device that implements them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/view.h"
#include "math/activation.h"
#include "networks/optimized.h"
#include "ops/optimizer.h"

namespace fastcf {

struct DenseLayer {
    std::int64_t inputs = 0, outputs = 0;
    int matrix = -1;          // which weights W: y = dropout(g(x W + b)); -1: none, x W is what comes in
    bool transposed = false;  // W is the transpose of that matrix: layers that share it sum their gradients
    Activation activation = Activation::identity;
    double dropout = 0;
    bool bias = true;
};

// Random choices of a pass: dropout of layer l goes by a key made of both. Without dropout none are made.
struct DropoutSeed {
    bool active = false;
    std::uint64_t seed = 0, pass = 0;
};

template <class T>
class Mlp {
  public:
    Mlp() = default;
    // Zeros at first. `alpha`: dropout that keeps SELU's mean and variance.
    Mlp(std::vector<DenseLayer> layers, bool alpha, OptimizerKind kind);

    int n_layers() const { return static_cast<int>(layers_.size()); }
    const DenseLayer& layer(int l) const { return layers_[static_cast<std::size_t>(l)]; }

    // Matrices (inputs, outputs) of the layers that have them untransposed, then a bias per layer.
    struct Arrays {
        std::vector<MatrixView<T>> matrices;
        std::vector<VectorView<T>> biases;
    };
    void check_arrays(const Arrays& arrays, const char* caller) const;
    void upload(const Arrays& from);
    void download(const Arrays& to);
    void download_gradient(const Arrays& to);

    // Runs layers [0, depth) over x (n, inputs of layer 0), which it changes where layer 0 has no matrix; what comes
    // out stays until the next pass. depth < 0: all.
    MatrixView<const T> forward(MatrixView<T> x, const DropoutSeed& dropout, int n_threads, int depth = -1);
    // Given the gradient of what came out of all layers, which it overwrites: works out that of all parameters, and
    // returns that of x, or of layer 0's products where it has no matrix, if `of_input`. x as at the forward
    // pass.
    MatrixView<T> backward(MatrixView<const T> x, MatrixView<T> gradient, int n_threads, bool of_input = true);
    // A step of the optimiser; weight decay is the matrices' only.
    void step(const Optimizer& optimizer, double learning_rate, std::int64_t number, int n_threads);

    double squared_norm(int n_threads) const;  // of the matrices
    void forget();
    // All parameters in one row, with what the optimiser remembers of them: matrices, then biases, each with zeros up
    // to a cache line.
    OptimizedRows<T>& parameters() { return parameters_; }
    const DeviceArray<T>& gradient() const { return gradient_; }  // likewise
    // Where each matrix and each bias begins in that row; a layer without a bias has an empty one.
    std::vector<std::int64_t> offsets() const;
    void save_best(int n_threads) { parameters_.save_best(n_threads); }
    void restore_best(int n_threads) { parameters_.restore_best(n_threads); }

  private:
    struct Place {
        std::int64_t offset, rows, cols;
    };
    struct Pass {
        DeviceArray<T> values, dropped, gradient;  // g(x W + b), the same after dropout, and of either
    };

    MatrixView<const T> weights(int matrix) const;
    void copy(const DeviceArray<T>& from, const Arrays& to) const;
    double rate(const DenseLayer& layer) const { return dropout_.active ? layer.dropout : 0.0; }

    std::vector<DenseLayer> layers_;
    std::vector<Place> matrices_, biases_;
    std::vector<bool> adds_;      // whether a later layer has the same matrix: its gradient is there already
    std::int64_t n_weights_ = 0;  // elements of all matrices, up to a multiple of kRowAlign: biases come after
    bool alpha_ = false;
    OptimizedRows<T> parameters_;  // one row
    DeviceArray<T> gradient_;
    std::vector<Pass> passes_;
    DropoutSeed dropout_;
    std::int64_t n_ = 0;
};

}  // namespace fastcf
