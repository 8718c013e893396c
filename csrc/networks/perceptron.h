// A small feed-forward network over the features of items, of which every user has one of their own: all of the same
// shape, their parameters in one row each. Runs on the host: networks this small are bound by the number of calls, and
// there is one per user to keep threads busy with.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/view.h"
#include "networks/mlp.h"

namespace fastcf {

struct PerceptronConfig {
    std::vector<std::int64_t> layers;             // features, units of the hidden layers, outputs
    Activation activation = Activation::sigmoid;  // of the hidden layers; outputs are sigmoid
    bool bias = true;
    std::vector<float> levels;  // output k asks whether a rating is levels[k]; empty: one output, whose target is the
                                // rating itself, in [0, 1]
};

void check_perceptron(const PerceptronConfig& config, const char* caller);

// Where in its row each layer's weights (inputs, outputs) and biases lie.
struct PerceptronLayout {
    std::int64_t size = 0;
    std::vector<std::int64_t> weights, biases;  // no biases without bias units
};
PerceptronLayout perceptron_layout(const PerceptronConfig& config);

// What one user rated, by entry.
template <class T>
struct RatedItems {
    const std::int32_t* items = nullptr;
    const T* ratings = nullptr;
    const T* weights = nullptr;  // null: all 1
};

// What a thread works on one network at a time with.
template <class T>
class Perceptron {
  public:
    Perceptron() = default;
    Perceptron(const PerceptronConfig& config, OptimizerKind kind);

    Mlp<T>& network() { return network_; }
    // The gradient of the mean over n entries, those at `order`, weighted, of
    //   sum over outputs of -(y log h + (1 - y) log(1 - h)),
    // which is the logistic loss of the logits. Returns the weighted sum. Items must be rows of the features.
    double gradient(MatrixView<const T> features, const RatedItems<T>& rated, const std::int32_t* order,
                    std::int64_t n);

  private:
    Mlp<T> network_;
    std::vector<T> levels_;
    DeviceArray<T> x_, y_, weights_, slopes_;
    std::int64_t outputs_ = 0;
};

// The cost that training follows (train/perceptron_trainer.h) of one network over some items, with the penalty
// reg / 2n |weights|^2; writes its gradient. `weights` may be empty. Parameters are laid out as perceptron_layout()
// says.
template <class T>
double perceptron_gradient(const PerceptronConfig& config, double reg, MatrixView<const T> features,
                           VectorView<const std::int32_t> items, VectorView<const T> ratings,
                           VectorView<const T> weights, VectorView<const T> at, VectorView<T> gradient);

// Pairs by user: those of group g are of the network networks[g] and of the items [indptr[g], indptr[g + 1]), or of all
// items in order where there is no indptr. An item -1 is one whose features are 0.
struct PairGroups {
    VectorView<const std::int32_t> networks;
    VectorView<const std::int64_t> indptr;
    VectorView<const std::int32_t> items;
};

// out (pairs, outputs) <- h(x). `parameters` has a row per user. A pair's result depends on nothing but its own network
// and the number of pairs of its group; the same bits for any number of threads. Throws Interrupted between groups.
void perceptron_predict(const PerceptronConfig& config, MatrixView<const float> parameters,
                        MatrixView<const float> features, const PairGroups& pairs, MatrixView<float> out,
                        int n_threads);

}  // namespace fastcf
