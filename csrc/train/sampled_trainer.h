// Factors learnt from choices beside items drawn at random: owns choices in training order and the parameters; hands
// out copies. Written against csrc/ops only, so it runs on every device that implements them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/state.h"
#include "core/view.h"
#include "ops/sampled.h"
#include "train/factors.h"
#include "train/sgd_rows.h"
#include "train/trainer.h"

namespace fastcf {

struct SampledConfig {
    std::int64_t n_factors = 0;
    double reg = 0;  // a row with n choices is penalised by reg n^reg_exponent |p|^2 / 2, an item's bias with its row
    double reg_exponent = 0;
    bool item_bias = true;
    SampledCost cost = SampledCost::bpr;
    int n_drawn = 1;               // items for every choice
    double popularity_power = 0;   // items are drawn with probabilities in proportion to the power of their choices
    bool fixed_items = false;      // only users learn, each as if alone
    std::int64_t item_blocks = 0;  // about; 0: as suits the device
    std::uint64_t seed = 0;
    int n_threads = 0;
};

class SampledTrainer {
  public:
    // Every entry is a choice, its value the weight. `item_counts`, by which items are drawn, are the choices' own
    // where it is empty.
    SampledTrainer(const CsrView& choices, VectorView<const std::int64_t> item_counts, const SampledConfig& config);

    void set_parameters(const FactorArrays& from);
    void get_parameters(const FactorArrays& to) const;

    // One pass over all choices.
    void epoch(float learning_rate, float bias_learning_rate);

    // What the next epoch will do: choices in order, and the items drawn for them, (n_choices, n_drawn), -1 for those
    // that do not count. For tests and inspection.
    TrainingOrder order() const;
    std::vector<std::int32_t> drawn() const;

    // What every drawn item counts, or the correction of its score for softmax; by item.
    std::vector<float> correction() const;

    double penalty() const;  // the L2 term of the objective, over rows that have choices

    // A sample of the choices and items drawn for them (n, m), -1 for those that do not count; and the sum of weight
    // times cost over it at the current parameters.
    void set_sample(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                    MatrixView<const std::int32_t> drawn, VectorView<const float> weights,
                    VectorView<const float> correction);
    double sample_cost() const;

    void save_best();                      // remembers the parameters as they are
    void restore_best();                   // and brings them back; throws std::logic_error when nothing was saved
    void list_state(StateFields& fields);  // all that the next epoch depends on

  private:
    SampledPlan plan() const;
    void build_draws(const std::vector<std::int64_t>& item_counts);
    void build_filters(const CsrView& choices);

    SampledConfig config_;
    SgdTiles tiles_;
    SampledItems items_;
    DeviceArray<float> user_penalty_, item_penalty_;
    SgdState state_;
    SavedFactors best_;
    std::uint64_t epochs_ = 0;
    struct Sample {  // in training order
        std::vector<std::int32_t> users, items, drawn;
        std::vector<float> weights, correction;
    } sample_;
};

}  // namespace fastcf
