#include "train/sgd_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/parallel.h"
#include "core/rng.h"
#include "math/mf.h"

namespace fastcf {
namespace {

// What training changes; rates are the same for ever.
void copy_parameters(const SgdState& from, SgdState& to, int n_threads) {
    to.stride = from.stride;
    copy_buffer(from.user_factors, to.user_factors, n_threads);
    copy_buffer(from.item_factors, to.item_factors, n_threads);
    copy_buffer(from.user_bias, to.user_bias, n_threads);
    copy_buffer(from.item_bias, to.item_bias, n_threads);
}

// What one rating of each row pays, of the factors' penalty and of the bias's.
struct SgdPenalties {
    const float* factors;
    const float* bias;
};

}  // namespace

SgdTrainer::SgdTrainer(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                       float global_offset, const TrainerConfig& config)
    : config_(config), global_offset_(global_offset) {
    const char* caller = "SgdTrainer";
    check_training(ratings, weights, item_offset, config, caller);
    const bool logistic = config.loss == Loss::logistic;
    check(!logistic || item_offset.empty(), caller, ": item_offset must be None for cost='logistic'");
    config_.n_threads = resolve_threads(config.n_threads);
    state_.stride = row_stride(config.n_factors);
    tiles_ = build_sgd_tiles(ratings, weights.empty() ? nullptr : weights.data,
                             item_offset.empty() ? nullptr : item_offset.data, logistic ? 0.0f : global_offset,
                             state_.stride, config.seed, config_.n_threads);
    state_.user_factors = zeros(tiles_.n_users * state_.stride);
    state_.item_factors = zeros(tiles_.n_items * state_.stride);
    state_.user_bias = zeros(tiles_.n_users);
    state_.item_bias = zeros(tiles_.n_items);
    user_counts_.resize(static_cast<std::size_t>(tiles_.n_users));
    for (std::int64_t u = 0; u < tiles_.n_users; ++u)
        user_counts_[static_cast<std::size_t>(tiles_.user_position[static_cast<std::size_t>(u)])] = ratings.row_size(u);
    item_counts_.resize(static_cast<std::size_t>(tiles_.n_items));
    for (std::int64_t e = 0; e < ratings.nnz(); ++e)
        ++item_counts_[static_cast<std::size_t>(tiles_.item_position[static_cast<std::size_t>(ratings.indices[e])])];
    // A row's penalty spread over its n ratings: scale n^exponent / n each.
    const auto rates = [](const std::vector<std::int64_t>& counts, double scale, double exponent) {
        AlignedBuffer<float> buffer(static_cast<std::int64_t>(counts.size()));
        for (std::size_t r = 0; r < counts.size(); ++r)
            buffer[static_cast<std::int64_t>(r)] =
                counts[r] == 0 ? 0.0f
                               : static_cast<float>(scale * std::pow(static_cast<double>(counts[r]), exponent - 1));
        return buffer;
    };
    state_.user_rate = rates(user_counts_, config.reg, config.reg_exponent);
    state_.item_rate = rates(item_counts_, config.reg, config.reg_exponent);
    state_.user_bias_rate = rates(user_counts_, config.user_bias_reg, 0.0);
    state_.item_bias_rate = rates(item_counts_, config.item_bias_reg, 0.0);
    if (!item_offset.empty()) {
        item_offset_.resize(static_cast<std::size_t>(tiles_.n_items));
        for (std::int64_t i = 0; i < tiles_.n_items; ++i)
            item_offset_[static_cast<std::size_t>(tiles_.item_position[static_cast<std::size_t>(i)])] = item_offset[i];
    }
}

void SgdTrainer::set_parameters(const FactorArrays& from) {
    check_factor_arrays(from, tiles_.n_users, tiles_.n_items, config_.n_factors, config_.bias,
                        "SgdTrainer.set_parameters");
    const auto place = [&](const MatrixView<float>& rows, const std::vector<std::int32_t>& position, float* to) {
        parallel_chunks(rows.rows, kRowGrain, config_.n_threads, [&](std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t i = begin; i < end; ++i)
                std::copy_n(rows.row(i), rows.cols, to + position[static_cast<std::size_t>(i)] * state_.stride);
        });
    };
    place(from.user_factors, tiles_.user_position, state_.user_factors.data());
    place(from.item_factors, tiles_.item_position, state_.item_factors.data());
    if (!config_.bias) return;
    for (std::int64_t u = 0; u < tiles_.n_users; ++u)
        state_.user_bias[tiles_.user_position[static_cast<std::size_t>(u)]] = from.user_bias[u];
    for (std::int64_t i = 0; i < tiles_.n_items; ++i)
        state_.item_bias[tiles_.item_position[static_cast<std::size_t>(i)]] = from.item_bias[i];
}

void SgdTrainer::get_parameters(const FactorArrays& to) const {
    check_factor_arrays(to, tiles_.n_users, tiles_.n_items, config_.n_factors, config_.bias,
                        "SgdTrainer.get_parameters");
    const auto fetch = [&](const MatrixView<float>& rows, const std::vector<std::int32_t>& position,
                           const float* from) {
        parallel_chunks(rows.rows, kRowGrain, config_.n_threads, [&](std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t i = begin; i < end; ++i)
                std::copy_n(from + position[static_cast<std::size_t>(i)] * state_.stride, rows.cols, rows.row(i));
        });
    };
    fetch(to.user_factors, tiles_.user_position, state_.user_factors.data());
    fetch(to.item_factors, tiles_.item_position, state_.item_factors.data());
    if (!config_.bias) return;
    for (std::int64_t u = 0; u < tiles_.n_users; ++u)
        to.user_bias[u] = state_.user_bias[tiles_.user_position[static_cast<std::size_t>(u)]];
    for (std::int64_t i = 0; i < tiles_.n_items; ++i)
        to.item_bias[i] = state_.item_bias[tiles_.item_position[static_cast<std::size_t>(i)]];
}

double SgdTrainer::epoch(float learning_rate, float bias_learning_rate) {
    SgdStep step;
    step.learning_rate = learning_rate;
    step.bias_learning_rate = bias_learning_rate;
    step.bias = config_.bias;
    step.loss = config_.loss;
    step.offset = config_.loss == Loss::logistic ? global_offset_ : 0.0f;
    step.round_seed = round_seed();
    ++epochs_;
    return sgd_epoch(tiles_, state_, step, config_.n_threads);
}

std::uint64_t SgdTrainer::round_seed() const {
    return mix64(config_.seed) + epochs_;
}

TrainingOrder SgdTrainer::order() const {
    const auto rows_of = [](const std::vector<std::int32_t>& position) {
        std::vector<std::int32_t> rows(position.size());
        for (std::size_t row = 0; row < position.size(); ++row)
            rows[static_cast<std::size_t>(position[row])] = static_cast<std::int32_t>(row);
        return rows;
    };
    const std::vector<std::int32_t> user_rows = rows_of(tiles_.user_position);
    const std::vector<std::int32_t> item_rows = rows_of(tiles_.item_position);
    TrainingOrder order;
    std::int64_t step = 0;
    for (const SgdTask& task : sgd_tasks(tiles_, round_seed())) {
        const std::int64_t tile = std::int64_t{task.user_block} * tiles_.item_blocks() + task.item_block;
        const std::uint16_t* item = tiles_.items.data() + tiles_.rating_offsets[static_cast<std::size_t>(tile)];
        const auto append = [&](const SgdRun& run) {
            order.users.push_back(user_rows[static_cast<std::size_t>(run.user)]);
            order.items.push_back(item_rows[static_cast<std::size_t>(
                tiles_.item_bounds[static_cast<std::size_t>(task.item_block)] + *item++)]);
            order.steps.push_back(step);
        };
        const std::int64_t last = tiles_.run_offsets[static_cast<std::size_t>(tile) + 1];
        for (std::int64_t r = tiles_.run_offsets[static_cast<std::size_t>(tile)]; r < last; r += tiles_.interleave) {
            const SgdRun* runs = tiles_.runs.data() + r;
            const auto n = std::min<std::int64_t>(tiles_.interleave, last - r);
            const std::int32_t shared = n == tiles_.interleave ? runs[n - 1].length : 0;
            for (std::int32_t t = 0; t < shared; ++t, ++step)
                for (std::int64_t j = 0; j < n; ++j) append(runs[j]);
            for (std::int64_t j = 0; j < n; ++j)
                for (std::int32_t t = shared; t < runs[j].length; ++t, ++step) append(runs[j]);
        }
    }
    return order;
}

double SgdTrainer::penalty() const {
    const auto side = [&](const std::vector<std::int64_t>& counts, const SgdPenalties& rates, const float* factors,
                          const float* bias) {
        const auto n = static_cast<std::int64_t>(counts.size());
        std::vector<double> partial(static_cast<std::size_t>((n + kRowGrain - 1) / kRowGrain));
        parallel_chunks(n, kRowGrain, config_.n_threads, [&](std::int64_t begin, std::int64_t end, int) {
            double sum = 0;
            for (std::int64_t r = begin; r < end; ++r) {
                const auto count = static_cast<double>(counts[static_cast<std::size_t>(r)]);
                const double b = static_cast<double>(bias[r]);
                sum += count * (static_cast<double>(rates.factors[r]) *
                                    squared_norm(factors + r * state_.stride, config_.n_factors) +
                                static_cast<double>(rates.bias[r]) * b * b);
            }
            partial[static_cast<std::size_t>(begin / kRowGrain)] = sum;
        });
        return std::accumulate(partial.begin(), partial.end(), 0.0);
    };
    return 0.5 * (side(user_counts_, {state_.user_rate.data(), state_.user_bias_rate.data()},
                       state_.user_factors.data(), state_.user_bias.data()) +
                  side(item_counts_, {state_.item_rate.data(), state_.item_bias_rate.data()},
                       state_.item_factors.data(), state_.item_bias.data()));
}

void SgdTrainer::set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                                VectorView<const float> values) {
    held_out_.set(users, items, values, {tiles_.n_users, tiles_.user_position.data()},
                  {tiles_.n_items, tiles_.item_position.data()}, "SgdTrainer.set_validation");
}

FactorModel SgdTrainer::model() const {
    FactorModel model;
    model.user_factors = {state_.user_factors.data(), tiles_.n_users, config_.n_factors, state_.stride};
    model.item_factors = {state_.item_factors.data(), tiles_.n_items, config_.n_factors, state_.stride};
    if (config_.bias) {
        model.user_bias = {state_.user_bias.data(), tiles_.n_users};
        model.item_bias = {state_.item_bias.data(), tiles_.n_items};
    }
    model.item_offset = {item_offset_.data(), static_cast<std::int64_t>(item_offset_.size())};
    model.global_offset = global_offset_;
    return model;
}

double SgdTrainer::validation_squared_error() const {
    return held_out_.squared_error(model(), config_);
}

double SgdTrainer::validation_log_loss() const {
    return held_out_.log_loss(model(), config_);
}

void SgdTrainer::save_best() {
    copy_parameters(state_, best_, config_.n_threads);
}

void SgdTrainer::restore_best() {
    if (best_.stride == 0) throw std::logic_error("SgdTrainer.restore_best: nothing was saved");
    copy_parameters(best_, state_, config_.n_threads);
}

}  // namespace fastcf
