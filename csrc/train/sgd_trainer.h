// Matrix factorisation by stochastic gradient descent: owns ratings in training order and the parameters; hands out
// copies. Written against csrc/ops only, so it runs on every device that implements them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/state.h"
#include "core/view.h"
#include "math/half.h"
#include "ops/predict.h"
#include "ops/sgd.h"
#include "train/factors.h"
#include "train/sgd_rows.h"
#include "train/trainer.h"

namespace fastcf {

struct SgdConfig : TrainerConfig {
    bool deterministic = true;           // false: a GPU may let steps race
    Storage storage = Storage::float32;  // of factors during epochs; float16 on a GPU only
};

class SgdTrainer {
  public:
    // `weights` (one per rating) and `item_offset` (one per item) may be empty; the latter must be for the logistic
    // cost.
    SgdTrainer(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
               const SgdConfig& config);

    void set_parameters(const FactorArrays& from);
    void get_parameters(const FactorArrays& to) const;

    // One pass over all ratings; returns the sum of w e^2 (logistic: of w (softplus(z) - y z)), each taken just before
    // its step.
    double epoch(float learning_rate, float bias_learning_rate);

    TrainingOrder order() const;  // what the next epoch will do

    // The L2 term of the objective, over rows that have ratings.
    double penalty() const;

    // Pairs held out, in rows of the rating matrix (-1: unknown user or item); `weights` may be empty: all 1.
    void set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                        VectorView<const float> values, VectorView<const float> weights);
    double validation_squared_error() const;  // the sum over pairs, w times
    double validation_log_loss() const;       // the sum of w (softplus(z) - y z)

    // A sample of the pairs that are trained on, and the same sums over it, of predictions that are not clipped.
    void set_sample(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                    VectorView<const float> values, VectorView<const float> weights);
    double sample_squared_error() const;
    double sample_log_loss() const;

    void save_best();                      // remembers the parameters as they are
    void restore_best();                   // and brings them back; throws std::logic_error when nothing was saved
    void list_state(StateFields& fields);  // all that the next epoch depends on

  private:
    HeldOut::Rows user_rows() const { return {tiles_.n_users, tiles_.user_position.data()}; }
    HeldOut::Rows item_rows() const { return {tiles_.n_items, tiles_.item_position.data()}; }
    FactorModel model() const;
    std::vector<std::int32_t> next_rounds() const;

    SgdConfig config_;
    SgdTiles tiles_;
    // What rows and biases pay: the sum of what their ratings pay. In training order.
    DeviceArray<float> user_penalty_, item_penalty_, user_bias_penalty_, item_bias_penalty_;
    SgdState state_;
    SavedFactors best_;
    DeviceArray<float> item_offset_;  // in training order
    std::uint64_t epochs_ = 0;
    HeldOut held_out_, sample_;
};

}  // namespace fastcf
