#include "train/sgd_trainer.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/mix64.h"
#include "core/parallel.h"
#include "math/penalty.h"
#include "ops/penalty.h"
#include "train/sgd_tiles.h"

namespace fastcf {
SgdTrainer::SgdTrainer(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                       const SgdConfig& config)
    : config_(config) {
    const char* caller = "SgdTrainer";
    check_training(ratings, weights, item_offset, config, caller);
    const bool logistic = config.loss == Loss::logistic;
    check(!logistic || item_offset.empty(), caller, ": item_offset must be None for cost='logistic'");
    config_.n_threads = resolve_threads(config.n_threads);
    state_.stride = row_stride(config.n_factors);
    const SgdGrid grid = sgd_grid(ratings.nnz(), ratings.rows, ratings.cols, state_.stride, config.deterministic);
    tiles_ = build_sgd_tiles(ratings, weights.empty() ? nullptr : weights.data,
                             item_offset.empty() ? nullptr : item_offset.data, logistic ? 0.0f : config.global_offset,
                             grid, config.seed, config_.n_threads);
    state_.user_factors = DeviceArray<float>::zeros(tiles_.n_users * state_.stride);
    state_.item_factors = DeviceArray<float>::zeros(tiles_.n_items * state_.stride);
    state_.user_bias = DeviceArray<float>::zeros(tiles_.n_users);
    state_.item_bias = DeviceArray<float>::zeros(tiles_.n_items);
    std::vector<std::int64_t> user_counts(static_cast<std::size_t>(tiles_.n_users));
    for (std::int64_t u = 0; u < tiles_.n_users; ++u) user_counts[static_cast<std::size_t>(u)] = ratings.row_size(u);
    std::vector<std::int64_t> item_counts(static_cast<std::size_t>(tiles_.n_items));
    for (std::int64_t e = 0; e < ratings.nnz(); ++e) ++item_counts[static_cast<std::size_t>(ratings.indices[e])];
    user_counts = in_order(user_counts.data(), tiles_.user_position);
    item_counts = in_order(item_counts.data(), tiles_.item_position);
    const auto pays = [&](const std::vector<std::int64_t>& counts, double reg, double exponent,
                          DeviceArray<float>& penalty, DeviceArray<float>& rate) {
        PenaltyShares both = penalty_shares(counts, reg, exponent);
        penalty = std::move(both.of_row);
        rate = std::move(both.of_rating);
    };
    pays(user_counts, config.reg, config.reg_exponent, user_penalty_, state_.user_rate);
    pays(item_counts, config.reg, config.reg_exponent, item_penalty_, state_.item_rate);
    pays(user_counts, config.user_bias_reg, 0.0, user_bias_penalty_, state_.user_bias_rate);
    pays(item_counts, config.item_bias_reg, 0.0, item_bias_penalty_, state_.item_bias_rate);
    // A bias that pays without end is 0 after every step.
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const auto none = [&](DeviceArray<float>& rate, std::int64_t n) {
        rate.upload(std::vector<float>(static_cast<std::size_t>(n), infinity).data());
    };
    if (!config.user_bias) none(state_.user_bias_rate, tiles_.n_users);
    if (!config.item_bias) none(state_.item_bias_rate, tiles_.n_items);
    if (!item_offset.empty()) item_offset_ = DeviceArray<float>(in_order(item_offset.data, tiles_.item_position));
}

void SgdTrainer::set_parameters(const FactorArrays& from) {
    check_factor_arrays(from, tiles_.n_users, tiles_.n_items, config_.n_factors, config_.user_bias, config_.item_bias,
                        "SgdTrainer.set_parameters");
    place_rows(from.user_factors, tiles_.user_position, state_.user_factors, state_.stride, config_.n_threads);
    place_rows(from.item_factors, tiles_.item_position, state_.item_factors, state_.stride, config_.n_threads);
    if (config_.user_bias) state_.user_bias.upload(in_order<float>(from.user_bias.data, tiles_.user_position).data());
    if (config_.item_bias) state_.item_bias.upload(in_order<float>(from.item_bias.data, tiles_.item_position).data());
}

void SgdTrainer::get_parameters(const FactorArrays& to) const {
    check_factor_arrays(to, tiles_.n_users, tiles_.n_items, config_.n_factors, config_.user_bias, config_.item_bias,
                        "SgdTrainer.get_parameters");
    fetch_rows(to.user_factors, tiles_.user_position, state_.user_factors, state_.stride, config_.n_threads);
    fetch_rows(to.item_factors, tiles_.item_position, state_.item_factors, state_.stride, config_.n_threads);
    fetch_bias(to.user_bias, config_.user_bias, tiles_.user_position, state_.user_bias);
    fetch_bias(to.item_bias, config_.item_bias, tiles_.item_position, state_.item_bias);
}

double SgdTrainer::epoch(float learning_rate, float bias_learning_rate) {
    SgdStep step;
    step.learning_rate = learning_rate;
    // Zero times a side's infinite share would be no number; so small a rate moves no bias by more than rounding.
    const bool both = config_.user_bias && config_.item_bias;
    step.bias_learning_rate =
        both ? bias_learning_rate : std::max(bias_learning_rate, std::numeric_limits<float>::min());
    step.bias = config_.bias();
    step.loss = config_.loss;
    step.offset = config_.loss == Loss::logistic ? config_.global_offset : 0.0f;
    step.half = config_.storage == Storage::float16;
    const std::vector<std::int32_t> rounds = next_rounds();
    ++epochs_;
    return sgd_epoch(tiles_, rounds, state_, step, config_.n_threads);
}

std::vector<std::int32_t> SgdTrainer::next_rounds() const {
    return sgd_rounds(tiles_, mix64(config_.seed) + epochs_);
}

TrainingOrder SgdTrainer::order() const {
    TrainingOrder order;
    const TileOrder tiles(tiles_);
    for (const std::int32_t round : next_rounds())
        for (int k = 0; k < tiles_.tiles_per_round(); ++k) {
            const SgdTile tile = sgd_tile(tiles_.user_blocks(), tiles_.item_blocks(), round, k);
            tiles.append(tile.user_block, tile.item_block, order);
        }
    return order;
}

double SgdTrainer::penalty() const {
    const auto of_rows = [&](const DeviceArray<float>& rows, const DeviceArray<float>& weights, std::int64_t cols,
                             std::int64_t stride) {
        const std::int64_t n = weights.size();
        return fastcf::penalty<float>({rows.data(), n, cols, stride}, {weights.data(), n}, config_.n_threads);
    };
    return 0.5 *
           (of_rows(state_.user_factors, user_penalty_, config_.n_factors, state_.stride) +
            of_rows(state_.item_factors, item_penalty_, config_.n_factors, state_.stride) +
            of_rows(state_.user_bias, user_bias_penalty_, 1, 1) + of_rows(state_.item_bias, item_bias_penalty_, 1, 1));
}

void SgdTrainer::set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                                VectorView<const float> values, VectorView<const float> weights) {
    held_out_.set(users, items, values, weights, user_rows(), item_rows(), "SgdTrainer.set_validation");
}

void SgdTrainer::set_sample(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                            VectorView<const float> values, VectorView<const float> weights) {
    sample_.set(users, items, values, weights, user_rows(), item_rows(), "SgdTrainer.set_sample");
}

FactorModel SgdTrainer::model() const {
    FactorModel model;
    model.user_factors = {state_.user_factors.data(), tiles_.n_users, config_.n_factors, state_.stride};
    model.item_factors = {state_.item_factors.data(), tiles_.n_items, config_.n_factors, state_.stride};
    if (config_.user_bias) model.user_bias = {state_.user_bias.data(), tiles_.n_users};
    if (config_.item_bias) model.item_bias = {state_.item_bias.data(), tiles_.n_items};
    model.item_offset = {item_offset_.data(), item_offset_.size()};
    model.global_offset = config_.global_offset;
    return model;
}

double SgdTrainer::validation_squared_error() const {
    return held_out_.squared_error(model(), config_.lowest, config_.highest, config_.n_threads);
}

double SgdTrainer::validation_log_loss() const {
    return held_out_.log_loss(model(), config_.n_threads);
}

double SgdTrainer::sample_squared_error() const {
    return sample_.squared_error(model(), config_.n_threads);
}

double SgdTrainer::sample_log_loss() const {
    return sample_.log_loss(model(), config_.n_threads);
}

void SgdTrainer::save_best() {
    best_.save(state_, config_.n_threads);
}

void SgdTrainer::restore_best() {
    best_.restore(state_, config_.n_threads, "SgdTrainer");
}

void SgdTrainer::list_state(StateFields& fields) {
    best_.list_state(fields, state_, config_.user_bias, config_.item_bias);
    fields.counter("epochs", epochs_);
}

}  // namespace fastcf
