// Matrix factorisation by alternating least squares: owns the ratings by user and by item and the parameters; hands out
// copies. Written against csrc/ops only, so it runs on every device that implements them.
#pragma once

#include <cstdint>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "ops/als.h"
#include "ops/predict.h"
#include "train/factors.h"
#include "train/trainer.h"

namespace fastcf {

struct AlsConfig : TrainerConfig {
    int cg_steps = 0;  // as in ops/als.h
};

class AlsTrainer {
  public:
    // `weights` (one per rating) and `item_offset` (one per item) may be empty. by_item: the same ratings by item,
    // whose columns are users, and item_weights their weights in that order; that both orders hold the same ratings is
    // not checked. The cost must be the squared one.
    AlsTrainer(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
               const CsrView& by_item, VectorView<const float> item_weights, const AlsConfig& config);

    void set_parameters(const FactorArrays& from);
    void get_parameters(const FactorArrays& to) const;

    // Solves for all users, then for all items; returns the sum of w e^2 after both.
    double epoch();

    // The L2 term of the objective, over rows that have ratings.
    double penalty() const;

    // Pairs held out, in rows of the rating matrix (-1: unknown user or item); `weights` may be empty: all 1.
    void set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                        VectorView<const float> values, VectorView<const float> weights);
    double validation_squared_error() const;  // the sum over pairs, w times

    // A sample of the pairs that are trained on, and the same sums over it, of predictions that are not clipped.
    void set_sample(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                    VectorView<const float> values, VectorView<const float> weights);
    double sample_squared_error() const;

    void save_best();                      // remembers the parameters as they are
    void restore_best();                   // and brings them back; throws std::logic_error when nothing was saved
    void list_state(StateFields& fields);  // all that the next epoch depends on

  private:
    // The ratings in the order of one side's rows, and what those pay.
    struct Side {
        DeviceArray<std::int64_t> indptr;
        DeviceArray<std::int32_t> columns;
        DeviceArray<float> values, weights, penalty, bias_penalty;
        std::int64_t rows = 0, cols = 0;

        AlsProblem problem() const;
    };
    struct Parameters {
        DeviceArray<float> user_factors, item_factors, user_bias, item_bias;  // no biases where a side has none

        void assign(const Parameters& other, int n_threads);
    };

    static Side make_side(const CsrView& ratings, VectorView<const float> weights, const TrainerConfig& config,
                          double bias_reg);
    void solve(AlsProblem problem, const Side& side, double bias_reg, DeviceArray<float>& factors,
               DeviceArray<float>& bias, VectorView<double> squared_errors);
    VectorView<const float> column_offset_of_users();
    FactorModel model() const;

    AlsConfig config_;
    Side user_, item_;
    Parameters now_, best_;
    bool saved_ = false;
    DeviceArray<float> item_offset_, item_offset_and_bias_;
    DeviceArray<double> squared_errors_;  // of the items
    HeldOut held_out_, sample_;
};

}  // namespace fastcf
