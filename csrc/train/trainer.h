// What trainers of factor models share: their settings and their checks, the order of ratings, and pairs held out.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/view.h"
#include "ops/mf_gradient.h"
#include "ops/predict.h"

namespace fastcf {

struct TrainerConfig {
    float global_offset = 0;  // of every prediction, where items have no offsets of their own
    std::int64_t n_factors = 0;
    double reg = 0;  // a factor row with n ratings is penalised by reg n^reg_exponent |p|^2 / 2
    double reg_exponent = 1;
    bool user_bias = true, item_bias = true;  // a side without biases keeps zeros
    double user_bias_reg = 0;                 // a bias by user_bias_reg b^2 / 2
    double item_bias_reg = 0;
    float lowest = 0;  // predictions are clipped to [lowest, highest] before they are compared with ratings
    float highest = 0;
    Loss loss = Loss::squared;
    std::uint64_t seed = 0;  // of the order of ratings
    int n_threads = 0;

    bool bias() const { return user_bias || item_bias; }
};

// `weights` (one per rating) and `item_offset` (one per item) may be empty.
void check_training(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                    const TrainerConfig& config, const char* caller);

// The rows of every rating in training order, and the number of its step. Ratings of one step take their errors
// together, before any of them steps. For tests and inspection.
struct TrainingOrder {
    std::vector<std::int32_t> users, items;
    std::vector<std::int64_t> steps;
};

// Pairs and their ratings, held out or a sample of those that are trained on.
class HeldOut {
  public:
    // The rows of one side, and where in the trainer each of them stands; nullptr: in its place.
    struct Rows {
        std::int64_t n;
        const std::int32_t* position = nullptr;
    };

    // Pairs in rows of the rating matrix (-1: unknown user or item); `weights` (one per pair) may be empty: all 1.
    void set(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items, VectorView<const float> values,
             VectorView<const float> weights, const Rows& user_rows, const Rows& item_rows, const char* caller);

    // Sums over pairs, w times: squared errors, predictions clipped to [lowest, highest] or not at all, and
    // softplus(z) - y z.
    double squared_error(const FactorModel& model, float lowest, float highest, int n_threads) const;
    double squared_error(const FactorModel& model, int n_threads) const;
    double log_loss(const FactorModel& model, int n_threads) const;

  private:
    DeviceArray<std::int32_t> users_, items_;
    DeviceArray<float> values_, weights_;
};

}  // namespace fastcf
