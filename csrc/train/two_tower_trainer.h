// Trains two towers batch by batch: owns ratings, features and the network; hands out copies. Written against csrc/ops
// only, so it runs on every device that implements them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "networks/feature_rows.h"
#include "networks/optimized.h"
#include "networks/two_tower.h"
#include "ops/optimizer.h"
#include "train/batches.h"
#include "train/trainer.h"

namespace fastcf {

struct TwoTowerTraining {
    TwoTowerConfig network;
    Optimizer optimizer;  // with weight_decay, the penalty of weights (not of biases)
    std::int64_t batch_size = 1;
    float lowest = 0;  // predictions are clipped to [lowest, highest] before they are compared with held-out ratings
    float highest = 0;
    std::uint64_t seed = 0;
    int n_threads = 0;
};

// Ratings are shuffled for each epoch and taken batch_size at a time. A step follows the gradient of
//   sum of w loss(z, y) / n  +  weight_decay / 2 |weights|^2
// over the n ratings of a batch, whose distinct users and items go through their towers once. With the softmax cost
// ratings are choices, and the other items of a batch are what they were chosen from. First weights of sparse
// features that no row of the batch has: under gradient descent, Momentum and Nesterov they shrink by that step, too,
// exactly; under the others they stand still.
class TwoTowerTrainer {
  public:
    // Ratings name rows of features, which may be more than those rated. `offsets`, for the softmax cost only, are
    // log-weights of the rated items: in a full batch, and in the last one, which may be smaller.
    TwoTowerTrainer(const CsrView& ratings, VectorView<const float> weights, MatrixView<const float> offsets,
                    const Features<float>& users, const Features<float>& items, const TwoTowerTraining& training);

    // Resets the optimiser's state.
    void set_parameters(const TwoTowerArrays<float>& from);
    void get_parameters(const TwoTowerArrays<float>& to);

    // One pass over all ratings; returns the sum of w loss(z, y), taken just before each step. After an interruption
    // the steps taken so far count.
    double epoch(double learning_rate);
    double penalty();  // weight_decay / 2 |weights|^2

    // Pairs held out, as rows of features; -1: one without, whose vector is 0. `weights` may be empty: all 1.
    void set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                        VectorView<const float> values, VectorView<const float> weights);
    double validation_squared_error();
    double validation_log_loss();

    void save_best();
    void restore_best();
    void list_state(StateFields& fields);  // all that the next epoch depends on

  private:
    // The rows of one side that are held out: ascending, on host and device, and their vectors.
    struct HeldOutRows {
        std::vector<std::int32_t> rows;
        DeviceArray<std::int32_t> device_rows;
        DeviceArray<float> vectors;
    };

    void settle();
    VectorView<const float> offsets_of(const Batches::Batch& batch);
    FactorModel held_out_model();

    TwoTowerTraining training_;
    TabulatedOptimizer optimizer_;
    TwoTower<float> network_;
    FeatureRows<float> users_, items_;
    Batches batches_;
    std::uint64_t epochs_ = 0, passes_ = 0;
    std::int64_t steps_ = 0;
    bool saved_ = false;
    DeviceArray<double> costs_;  // of an epoch's batches
    std::vector<float> offsets_;
    std::int64_t n_offsets_ = 0;  // of one kind of batch
    UploadBlock block_;           // the offsets of a batch's items
    UploadBlock::Part<float> offsets_part_;

    HeldOut held_out_;
    HeldOutRows held_out_users_, held_out_items_;
};

}  // namespace fastcf
