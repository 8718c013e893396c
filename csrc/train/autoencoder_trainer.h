// Trains a masked autoencoder batch by batch: owns the rows and the network; hands out copies. Written against csrc/ops
// only, so it runs on every device that implements them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "networks/autoencoder.h"
#include "networks/row_batches.h"
#include "ops/optimizer.h"

namespace fastcf {

struct AutoencoderTraining {
    AutoencoderConfig network;  // n_columns is the rows', rated follows from rated_input
    Optimizer optimizer;        // with weight_decay, the penalty of weights (not of biases)
    std::int64_t batch_size = 1;
    int dense_refeeding = 0;
    std::int64_t n_negatives = 0;  // multinomial cost: columns sampled for a step's softmax; 0: all columns are in it
    double rated_input = 0;        // 0: the network is not fed what is rated beside the ratings
    bool rated_output = false;     // output weights have centres, which say what rows rate a column
    float lowest = 0;  // predictions are clipped to [lowest, highest] before they are compared with held-out ratings
    float highest = 0;
    std::uint64_t seed = 0;
    int n_threads = 0;
};

// Rows are shuffled for each epoch and taken batch_size at a time. A step follows the gradient of
//   sum of w (f(x) - y)^2 / sum of w  +  weight_decay / 2 |weights|^2
// over the stored entries of its rows; with the logistic cost, whose curvature is that of half a squared error,
// 2 (softplus(z) - y z) takes the place of the square, z being f(x) and the entry's offset. With the multinomial cost
// it is the sum of -y_c log softmax(f(x))_c over the entries, divided by the number of rows with a target above 0;
// entries of target 0 are inputs only. Its softmax is over all columns, or over those that the batch's rows have
// entries in and a sample of the others (RowBatches::ask_columns); rows of weights of all these columns take the step.
// Under gradient descent, Momentum and Nesterov rows of weights that the batch does not touch shrink by that step, too,
// exactly. Under the others, whose rows stand still while they are not touched, an entry carries its share of the
// penalty of its column's rows, so that the shares of an epoch add up to the penalties of its steps. Then,
// dense_refeeding times, what came out goes in as a dense x, a constant, and a step follows the gradient of the mean of
// (f(x) - x)^2 over all columns, with the same penalty. With centres, the effects of rows take up to eight steps of
// their own in an epoch, at equal distances.
class AutoencoderTrainer {
  public:
    AutoencoderTrainer(const TrainingRows<float>& rows, const AutoencoderTraining& training);

    // Resets the optimiser's state.
    void set_parameters(const AutoencoderArrays<float>& from);
    void get_parameters(const AutoencoderArrays<float>& to);

    // One pass over all rows; returns the sum of w (f(x) - y)^2, of 2 w (softplus(z) - y z), or of the multinomial
    // cost, taken just before each step. After an interruption the steps taken so far count.
    double epoch(double learning_rate);
    double penalty();  // weight_decay / 2 |weights|^2

    // Held-out entries: their rows (-1: a row without any) and columns, what is added to scale f (x) there, and the
    // values that this is compared with; `weights` may be empty: all 1.
    void set_validation(VectorView<const std::int32_t> rows, VectorView<const std::int32_t> columns,
                        VectorView<const float> offsets, VectorView<const float> values,
                        VectorView<const float> weights, float scale);
    double validation_squared_error();
    double validation_log_loss();

    // The multinomial cost, over all columns, of what some rows chose: rows (-1: one without entries) as the network
    // has them, nothing dropped, and a compressed row of columns and strengths for each.
    double multinomial_cost(VectorView<const std::int32_t> rows, const CsrView& chosen);

    void save_best();
    void restore_best();
    void list_state(StateFields& fields);  // all that the next epoch depends on

  private:
    Optimizer rows_optimizer() const;
    void refeed(const RowBatch<float>& batch, double learning_rate);
    void step(double learning_rate, VectorView<const std::int32_t> rows);
    void step_effects(double learning_rate);
    void settle();
    // The sum of term(prediction, value) over held-out entries.
    template <class Term>
    double over_held_out(Term&& term);
    DropoutSeed dropout();

    AutoencoderTraining training_;
    Autoencoder<float> network_;
    RowBatches<float> batches_;
    std::uint64_t epochs_ = 0, passes_ = 0;
    std::int64_t steps_ = 0, effect_steps_ = 0;
    std::int64_t collected_ = 0;  // steps whose gradients the effects have not followed yet; 0 between epochs
    double decay_ = 0;            // of all weights
    bool shares_ = false;         // entries carry the penalties of the ends' rows
    bool multinomial_ = false;
    bool saved_ = false;
    TabulatedOptimizer optimizer_;
    DeviceArray<double> losses_;       // sums of losses: of ratings, and of what is fed again
    DeviceArray<float> fed_, answer_;  // dense rows, where they are fed again

    // By row, those of no row last.
    std::vector<std::int64_t> held_out_indptr_;
    std::vector<std::int32_t> held_out_columns_;
    std::vector<float> held_out_offsets_, held_out_values_, held_out_weights_;
    float held_out_scale_ = 1;
};

}  // namespace fastcf
