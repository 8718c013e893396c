// Matrix factorisation by gradients and any optimiser, all ratings at once or a batch at a time: owns the ratings and
// the parameters; hands out copies. Written against csrc/ops only, so it runs on every device that implements them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "networks/all_ratings.h"
#include "networks/optimized.h"
#include "ops/mf_gradient.h"
#include "ops/optimizer.h"
#include "ops/predict.h"
#include "train/batches.h"
#include "train/factors.h"
#include "train/trainer.h"

namespace fastcf {

struct GradientConfig : TrainerConfig {
    Optimizer optimizer;
    std::int64_t batch_size = 0;  // 0: all ratings
};

// With batch_size = 0 an epoch is one step along the gradient of the objective J (ops/mf_gradient.h).
//
// Otherwise ratings are shuffled anew for each epoch and taken batch_size at a time; a step follows the mean gradient
// of its b ratings, 1/b of the sum, in which every rating carries its share of the penalties of its rows: of a row with
// n ratings, 1/n of the row's penalty. The gradients of an epoch thus add up to that of J, over b. Rows without a
// rating in the batch have no gradient (optimizer_step_rows says what that means).
class GradientTrainer {
  public:
    // `weights` (one per rating) and `item_offset` (one per item) may be empty.
    GradientTrainer(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                    const GradientConfig& config);

    // Resets the optimiser's state.
    void set_parameters(const FactorArrays& from);
    void get_parameters(const FactorArrays& to);

    // One pass over all ratings; returns the sum of w l(z, y) (squared: half the sum of w e^2), each taken just before
    // its step. After an interruption the steps taken so far count.
    double epoch(double learning_rate, double bias_learning_rate);

    TrainingOrder order() const;  // what the next epoch will do

    // The L2 term of the objective, over rows that have ratings.
    double penalty();

    // Pairs held out, in rows of the rating matrix (-1: unknown user or item); `weights` may be empty: all 1.
    void set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                        VectorView<const float> values, VectorView<const float> weights);
    double validation_squared_error();  // the sum over pairs, w times
    double validation_log_loss();       // the sum of w (softplus(z) - y z)

    // A sample of the pairs that are trained on, and the same sums over it, of predictions that are not clipped.
    // Looking does not bring rows up to date, so that training goes on as if nobody had looked: where the optimiser
    // moves rows without a gradient, copies of all parameters are brought there instead.
    void set_sample(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                    VectorView<const float> values, VectorView<const float> weights);
    double sample_squared_error();
    double sample_log_loss();

    void save_best();     // remembers the parameters as they are
    void restore_best();  // and brings them back, the optimiser as new; throws std::logic_error when nothing was saved
    void list_state(StateFields& fields);  // all that the next epoch depends on

  private:
    // One matrix of parameters, and where all ratings are taken at once its gradient.
    struct Block : OptimizedRows<float> {
        DeviceArray<float> gradient;
    };
    struct Side {
        Block factors, bias;
        bool biased = true;                    // otherwise biases are 0 and take no steps
        DeviceArray<float> reg, bias_reg;      // penalties of rows
        DeviceArray<float> share, bias_share;  // what one rating of a row carries of them
    };
    // What is gathered of the rows that a batch touches on one side, and their gradient.
    struct Touched {
        DeviceArray<float> factors, bias, factor_gradient, bias_gradient, reg, bias_reg;
    };

    void start_side(Side& side, const std::vector<std::int64_t>& counts, double bias_reg, bool biased);
    void start_optimizer();
    void settle();  // brings rows up to date that the optimiser would move without a gradient
    double full_step(double learning_rate, double bias_learning_rate);
    // `cost` (2,), on the device, receives the loss over the batch's size, and the penalty.
    void batch_step(const Batches::Batch& batch, double learning_rate, double bias_learning_rate, double* cost);
    void gather(Side& side, const Batches::Side& batch, Touched& touched);
    void step_rows(Side& side, const Batches::Side& batch, const Touched& touched, double learning_rate,
                   double bias_learning_rate);
    FactorModel model() const;
    FactorModel sample_model();
    template <class Body>
    void for_each_block(Body&& body);

    GradientConfig config_;
    std::int64_t stride_ = 0;
    DeviceArray<float> item_offset_;
    Side user_, item_;
    std::int64_t steps_ = 0;
    std::uint64_t epochs_ = 0;
    bool saved_ = false;
    DeviceArray<float> errors_;

    AllRatings<float> all_;  // with batch_size = 0

    // Otherwise: the ratings, and what a batch needs, kept from one to the next.
    TabulatedOptimizer optimizer_;
    Batches batches_;
    Touched touched_users_, touched_items_;
    DeviceArray<float> touched_offset_;
    DeviceArray<double> costs_;  // of an epoch's batches

    HeldOut held_out_, sample_;
    OptimizedRows<float> seen_[4];  // copies of parameters, to look at
};

}  // namespace fastcf
