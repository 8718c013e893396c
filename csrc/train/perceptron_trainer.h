// Trains a perceptron per user, all users in parallel: owns the ratings, the features and the networks; hands out
// copies.
#pragma once

#include <cstdint>
#include <vector>

#include "core/state.h"
#include "core/view.h"
#include "networks/optimized.h"
#include "networks/perceptron.h"
#include "ops/optimizer.h"

namespace fastcf {

struct PerceptronTraining {
    PerceptronConfig network;
    Optimizer optimizer;
    double reg = 0;
    std::int64_t batch_size = 1;
    std::uint64_t seed = 0;
    int n_threads = 0;
};

// Cross-entropies are taken just before each step, penalties after the last.
struct PerceptronEpoch {
    double cost = 0;  // the mean over users with ratings
    double loss = 0;  // the cross-entropies' mean over ratings, by their weights
};

// The n ratings of a user that have a positive weight are shuffled for each epoch and taken batch_size at a time. A
// step follows the gradient of
//   sum of w l(x, y) / sum of w  +  reg / 2n |weights|^2
// over the batch's ratings, l being the cross-entropies of all outputs; biases are not penalised. What is random about
// a user depends on the seed and the user's key alone, so that a network does not depend on the other users, nor on
// the number of threads. (Ng, "Machine learning", 2011, "Neural networks: learning" has the cost; Rumelhart, Hinton and
// Williams, "Learning representations by back-propagating errors", Nature 323, 1986.)
class PerceptronTrainer {
  public:
    // ratings: users x items; features: items x features; keys: one per user.
    PerceptronTrainer(const CsrView& ratings, VectorView<const float> weights, MatrixView<const float> features,
                      VectorView<const std::uint64_t> keys, const PerceptronTraining& training);

    // Draws the weights of layer l uniformly from [low_l, high_l). Biases become 0, those of the outputs the log-odds
    // of the user's own targets, half a rating of each kind added. The optimiser is reset.
    void draw_parameters(VectorView<const float> low, VectorView<const float> high);
    // A row per user, laid out as perceptron_layout() says.
    void set_parameters(MatrixView<float> from);
    void get_parameters(MatrixView<float> to) const;

    // One pass over every user's ratings. After an interruption the steps taken so far count.
    PerceptronEpoch epoch(double learning_rate);
    std::int64_t n_items() const { return n_items_; }
    std::int64_t n_outputs() const { return training_.network.layers.back(); }
    // h(x), see perceptron_predict.
    void predict(const PairGroups& pairs, MatrixView<float> out) const;

    void save_best();
    void restore_best();
    void list_state(StateFields& fields);  // all that the next epoch depends on

  private:
    struct Worker {
        Perceptron<float> perceptron;
        std::vector<std::int32_t> order;
    };

    void draw(std::int64_t user, VectorView<const float> low, VectorView<const float> high);
    PerceptronEpoch train(std::int64_t user, double learning_rate, Worker& worker);
    MatrixView<const float> features() const;
    std::int64_t count(std::int64_t user) const {
        return indptr_[static_cast<std::size_t>(user) + 1] - indptr_[static_cast<std::size_t>(user)];
    }

    PerceptronTraining training_;
    PerceptronLayout layout_;
    std::vector<std::int64_t> indptr_;
    std::vector<std::int32_t> items_;
    std::vector<float> ratings_, weights_, features_;
    std::int64_t n_items_ = 0;
    std::vector<std::uint64_t> keys_;  // of the users' random streams
    std::vector<std::int64_t> longest_first_;
    std::vector<double> powers_, second_powers_;
    std::vector<Worker> workers_;
    OptimizedRows<float> networks_;
    std::uint64_t epochs_ = 0;
    bool saved_ = false;
};

}  // namespace fastcf
