#include "train/gradient_trainer.h"

#include <cmath>
#include <numeric>
#include <stdexcept>

#include "core/rng.h"
#include "math/mf.h"

namespace fastcf {
namespace {

constexpr std::uint64_t kRatingOrder = 0x6d696e69;  // stream of random numbers

std::size_t at(std::int64_t i) {
    return static_cast<std::size_t>(i);
}

// λ n^exponent, and 0 where n = 0.
std::vector<float> penalties(const std::vector<std::int64_t>& counts, double reg, double exponent) {
    std::vector<float> rates(counts.size());
    for (std::size_t r = 0; r < counts.size(); ++r)
        rates[r] = counts[r] == 0 ? 0.0f : static_cast<float>(reg * std::pow(static_cast<double>(counts[r]), exponent));
    return rates;
}

}  // namespace

OptimizerRows<float> GradientTrainer::Block::view() {
    return {values.data(), first.data(), second.data(), row_steps.data(), rows, cols, cols};
}

template <class Body>
void GradientTrainer::for_each_block(Body&& body) {
    body(user_.factors);
    body(item_.factors);
    if (!config_.bias) return;
    body(user_.bias);
    body(item_.bias);
}

GradientTrainer::GradientTrainer(const CsrView& ratings, VectorView<const float> weights,
                                 VectorView<const float> item_offset, float global_offset, const GradientConfig& config)
    : config_(config), stride_(row_stride(config.n_factors)), global_offset_(global_offset) {
    const char* caller = "GradientTrainer";
    const std::int64_t n = ratings.nnz();
    check(config.n_factors > 0, caller, ": n_factors must be positive; got ", config.n_factors);
    check(config.batch_size >= 0, caller, ": batch_size must not be negative; got ", config.batch_size);
    check(ratings.values != nullptr || n == 0, caller, ": ratings must have values");
    check(ratings.rows < INT32_MAX && ratings.cols < INT32_MAX, caller, ": users and items must be fewer than 2^31");
    check(config.batch_size == 0 || n <= UINT32_MAX, caller, ": ratings must be fewer than 2^32 with batches; got ", n);
    check(weights.empty() || weights.size == n, caller, ": weights must have ", n, " entries; got ", weights.size);
    check(item_offset.empty() || item_offset.size == ratings.cols, caller, ": item_offset must have ", ratings.cols,
          " entries; got ", item_offset.size);
    config_.n_threads = resolve_threads(config.n_threads);
    indptr_.assign(ratings.indptr, ratings.indptr + ratings.rows + 1);
    items_.assign(ratings.indices, ratings.indices + n);
    values_.assign(ratings.values, ratings.values + n);
    if (!weights.empty()) weights_.assign(weights.data, weights.data + n);
    if (!item_offset.empty()) item_offset_.assign(item_offset.data, item_offset.data + item_offset.size);
    users_.resize(at(n));
    user_.counts.resize(at(ratings.rows));
    item_.counts.assign(at(ratings.cols), 0);
    for (std::int64_t u = 0; u < ratings.rows; ++u) {
        user_.counts[at(u)] = ratings.row_size(u);
        std::fill(users_.begin() + indptr_[at(u)], users_.begin() + indptr_[at(u) + 1], static_cast<std::int32_t>(u));
    }
    for (const std::int32_t i : items_) ++item_.counts[at(i)];
    start_side(user_, ratings.rows, config.user_bias_reg);
    start_side(item_, ratings.cols, config.item_bias_reg);
    if (config.batch_size > 0) {
        batch_place_.assign(at(ratings.cols), -1);
        powers_ = DeviceArray<double>(tabulated_powers(config.optimizer.decay));
        second_powers_ = DeviceArray<double>(tabulated_powers(config.optimizer.second_decay));
        config_.optimizer.powers = {powers_.data(), powers_.size()};
        config_.optimizer.second_powers = {second_powers_.data(), second_powers_.size()};
        return;
    }
    errors_ = AlignedBuffer<float>(n);
    item_indptr_.assign(at(ratings.cols) + 1, 0);
    std::partial_sum(item_.counts.begin(), item_.counts.end(), item_indptr_.begin() + 1);
    item_entries_.resize(at(n));
    item_users_.resize(at(n));
    std::vector<std::int64_t> next(item_indptr_.begin(), item_indptr_.end() - 1);
    for (std::int64_t e = 0; e < n; ++e) {
        const std::int64_t place = next[at(items_[at(e)])]++;
        item_entries_[at(place)] = e;
        item_users_[at(place)] = users_[at(e)];
    }
}

void GradientTrainer::start_side(Side& side, std::int64_t rows, double bias_reg) {
    side.reg = penalties(side.counts, config_.reg, config_.reg_exponent);
    side.share = penalties(side.counts, config_.reg, config_.reg_exponent - 1);
    side.bias_reg = penalties(side.counts, bias_reg, 0);
    side.bias_share = penalties(side.counts, bias_reg, -1);
    const auto start = [&](Block& block, std::int64_t cols) {
        block.rows = rows;
        block.cols = cols;
        const std::int64_t n = rows * cols;
        block.values = zeros(n);
        if (keeps_first(config_.optimizer.kind)) block.first = zeros(n);
        if (keeps_second(config_.optimizer.kind)) block.second = zeros(n);
        if (config_.batch_size == 0) block.gradient = AlignedBuffer<float>(n);
        block.row_steps.assign(at(rows), 0);
    };
    start(side.factors, stride_);
    start(side.bias, 1);
}

void GradientTrainer::start_optimizer() {
    steps_ = 0;
    for_each_block([](Block& block) {
        std::fill_n(block.first.data(), block.first.size(), 0.0f);
        std::fill_n(block.second.data(), block.second.size(), 0.0f);
        std::fill(block.row_steps.begin(), block.row_steps.end(), 0);
    });
}

void GradientTrainer::settle() {
    if (config_.batch_size == 0) return;  // all rows took all steps
    for_each_block([&](Block& block) { optimizer_flush(config_.optimizer, steps_, block.view(), config_.n_threads); });
}

void GradientTrainer::set_parameters(const FactorArrays& from) {
    check_factor_arrays(from, user_.factors.rows, item_.factors.rows, config_.n_factors, config_.bias,
                        "GradientTrainer.set_parameters");
    const auto place = [&](const MatrixView<float>& rows, Block& block) {
        for (std::int64_t r = 0; r < rows.rows; ++r)
            std::copy_n(rows.row(r), rows.cols, block.values.data() + r * stride_);
    };
    place(from.user_factors, user_.factors);
    place(from.item_factors, item_.factors);
    if (config_.bias) {
        std::copy_n(from.user_bias.data, from.user_bias.size, user_.bias.values.data());
        std::copy_n(from.item_bias.data, from.item_bias.size, item_.bias.values.data());
    }
    start_optimizer();
}

void GradientTrainer::get_parameters(const FactorArrays& to) {
    check_factor_arrays(to, user_.factors.rows, item_.factors.rows, config_.n_factors, config_.bias,
                        "GradientTrainer.get_parameters");
    settle();
    const auto fetch = [&](const MatrixView<float>& rows, const Block& block) {
        for (std::int64_t r = 0; r < rows.rows; ++r)
            std::copy_n(block.values.data() + r * stride_, rows.cols, rows.row(r));
    };
    fetch(to.user_factors, user_.factors);
    fetch(to.item_factors, item_.factors);
    if (!config_.bias) return;
    std::copy_n(user_.bias.values.data(), to.user_bias.size, to.user_bias.data);
    std::copy_n(item_.bias.values.data(), to.item_bias.size, to.item_bias.data);
}

double GradientTrainer::epoch(double learning_rate, double bias_learning_rate) {
    if (config_.batch_size == 0) {
        ++epochs_;
        return full_step(learning_rate, bias_learning_rate);
    }
    std::vector<std::uint32_t> order = shuffled();
    ++epochs_;
    const auto n = static_cast<std::int64_t>(order.size());
    // By user and item within a batch; the order of a sum does not matter to it.
    parallel_chunks(
        n, config_.batch_size, threads_for(n * 4, config_.n_threads),
        [&](std::int64_t begin, std::int64_t end, int) { std::sort(order.begin() + begin, order.begin() + end); });
    double loss = 0;
    for (std::int64_t begin = 0; begin < n; begin += config_.batch_size) {
        if (interrupt_pending()) throw Interrupted();
        loss += batch_step(order.data() + begin, std::min(config_.batch_size, n - begin), learning_rate,
                           bias_learning_rate);
    }
    return loss;
}

double GradientTrainer::full_step(double learning_rate, double bias_learning_rate) {
    MfRatings<float> ratings;
    ratings.indptr = indptr_.data();
    ratings.items = items_.data();
    ratings.values = values_.data();
    ratings.weights = weights_.empty() ? nullptr : weights_.data();
    ratings.item_indptr = item_indptr_.data();
    ratings.users = item_users_.data();
    ratings.item_entries = item_entries_.data();
    ratings.n_users = user_.factors.rows;
    ratings.n_items = item_.factors.rows;
    MfObjective<float> objective;
    objective.loss = config_.loss;
    objective.item_offset = item_offset_.empty() ? nullptr : item_offset_.data();
    objective.global_offset = global_offset_;
    objective.user_reg = user_.reg.data();
    objective.item_reg = item_.reg.data();
    objective.user_bias_reg = user_.bias_reg.data();
    objective.item_bias_reg = item_.bias_reg.data();
    MfParameters<const float> point{
        user_.factors.values.data(), item_.factors.values.data(), nullptr, nullptr, stride_, stride_};
    MfParameters<float> gradient{
        user_.factors.gradient.data(), item_.factors.gradient.data(), nullptr, nullptr, stride_, stride_};
    if (config_.bias) {
        point.user_bias = user_.bias.values.data();
        point.item_bias = item_.bias.values.data();
        gradient.user_bias = user_.bias.gradient.data();
        gradient.item_bias = item_.bias.gradient.data();
    }
    const MfCost cost = mf_gradient(ratings, objective, point, gradient, errors_.data(), config_.n_threads);
    ++steps_;
    for_each_block([&](Block& block) {
        const bool bias = &block == &user_.bias || &block == &item_.bias;
        optimizer_step<float>(config_.optimizer, bias ? bias_learning_rate : learning_rate, steps_, block.values.size(),
                              block.values.data(), block.gradient.data(), block.first.data(), block.second.data(),
                              config_.n_threads);
    });
    return cost.loss;
}

void GradientTrainer::Touched::resize(std::int64_t stride) {
    const std::size_t n = rows.size(), elements = n * at(stride);
    for (std::vector<float>* array : {&factors, &factor_gradient})
        if (array->size() < elements) array->resize(elements);
    for (std::vector<float>* array : {&bias, &bias_gradient, &reg, &bias_reg})
        if (array->size() < n) array->resize(n);
}

// Brings a side's touched rows up to date and copies them side by side.
void GradientTrainer::gather(Side& side, Touched& touched, float scale) {
    touched.resize(stride_);
    const VectorView<const std::int32_t> rows{touched.rows.data(), static_cast<std::int64_t>(touched.rows.size())};
    optimizer_catch_up(config_.optimizer, steps_, side.factors.view(), rows, config_.n_threads);
    if (config_.bias) optimizer_catch_up(config_.optimizer, steps_, side.bias.view(), rows, config_.n_threads);
    const int threads = threads_for(rows.size * (stride_ / 8), config_.n_threads);
    parallel_chunks(rows.size, kRowGrain, threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t r = begin; r < end; ++r) {
            const std::int64_t row = rows[r];
            const float part = scale * static_cast<float>(touched.counts[at(r)]);
            std::copy_n(side.factors.values.data() + row * stride_, stride_, touched.factors.data() + r * stride_);
            touched.bias[at(r)] = side.bias.values[row];
            touched.reg[at(r)] = part * side.share[at(row)];
            touched.bias_reg[at(r)] = part * side.bias_share[at(row)];
        }
    });
}

void GradientTrainer::scatter_step(Side& side, const Touched& touched, double learning_rate,
                                   double bias_learning_rate) {
    const VectorView<const std::int32_t> rows{touched.rows.data(), static_cast<std::int64_t>(touched.rows.size())};
    optimizer_step_rows<float>(config_.optimizer, learning_rate, steps_, side.factors.view(), rows,
                               touched.factor_gradient.data(), stride_, config_.n_threads);
    if (config_.bias)
        optimizer_step_rows<float>(config_.optimizer, bias_learning_rate, steps_, side.bias.view(), rows,
                                   touched.bias_gradient.data(), 1, config_.n_threads);
}

double GradientTrainer::batch_step(const std::uint32_t* entries, std::int64_t n, double learning_rate,
                                   double bias_learning_rate) {
    const float scale = 1.0f / static_cast<float>(n);
    Touched &users = touched_users_, &items = touched_items_;
    for (Touched* side : {&users, &items}) {
        side->rows.clear();
        side->counts.clear();
    }
    batch_indptr_.clear();
    for (std::vector<float>* array : {&batch_values_, &batch_weights_, &batch_errors_}) array->resize(at(n));
    for (std::vector<std::int32_t>* array : {&batch_items_, &batch_item_users_}) array->resize(at(n));
    batch_item_entries_.resize(at(n));

    for (std::int64_t e = 0; e < n; ++e) {
        const std::int32_t user = users_[entries[e]], item = items_[entries[e]];
        if (users.rows.empty() || users.rows.back() != user) {
            users.rows.push_back(user);
            users.counts.push_back(0);
            batch_indptr_.push_back(e);
        }
        ++users.counts.back();
        batch_values_[at(e)] = values_[entries[e]];
        batch_weights_[at(e)] = scale * (weights_.empty() ? 1.0f : weights_[entries[e]]);
        if (batch_place_[at(item)] < 0) {
            batch_place_[at(item)] = 0;
            items.rows.push_back(item);
        }
    }
    batch_indptr_.push_back(n);
    std::sort(items.rows.begin(), items.rows.end());
    const std::size_t n_items = items.rows.size();
    for (std::size_t i = 0; i < n_items; ++i) batch_place_[at(items.rows[i])] = static_cast<std::int32_t>(i);
    items.counts.assign(n_items, 0);
    for (std::int64_t e = 0; e < n; ++e) {
        const std::int32_t place = batch_place_[at(items_[entries[e]])];
        batch_items_[at(e)] = place;
        ++items.counts[at(place)];
    }
    for (const std::int32_t item : items.rows) batch_place_[at(item)] = -1;
    batch_item_indptr_.assign(n_items + 1, 0);
    for (std::size_t i = 0; i < n_items; ++i) batch_item_indptr_[i + 1] = batch_item_indptr_[i] + items.counts[i];
    for (std::size_t u = 0; u < users.rows.size(); ++u)
        for (std::int64_t e = batch_indptr_[u]; e < batch_indptr_[u + 1]; ++e) {
            const std::int64_t place = batch_item_indptr_[at(batch_items_[at(e)])]++;  // shifts every start to its end
            batch_item_entries_[at(place)] = e;
            batch_item_users_[at(place)] = static_cast<std::int32_t>(u);
        }
    for (std::size_t i = n_items; i > 0; --i) batch_item_indptr_[i] = batch_item_indptr_[i - 1];
    batch_item_indptr_[0] = 0;

    gather(user_, users, scale);
    gather(item_, items, scale);
    if (!item_offset_.empty()) {
        batch_offset_.resize(n_items);
        for (std::size_t i = 0; i < n_items; ++i) batch_offset_[i] = item_offset_[at(items.rows[i])];
    }
    MfRatings<float> ratings;
    ratings.indptr = batch_indptr_.data();
    ratings.items = batch_items_.data();
    ratings.values = batch_values_.data();
    ratings.weights = batch_weights_.data();
    ratings.item_indptr = batch_item_indptr_.data();
    ratings.users = batch_item_users_.data();
    ratings.item_entries = batch_item_entries_.data();
    ratings.n_users = static_cast<std::int64_t>(users.rows.size());
    ratings.n_items = static_cast<std::int64_t>(n_items);
    MfObjective<float> objective;
    objective.loss = config_.loss;
    objective.item_offset = item_offset_.empty() ? nullptr : batch_offset_.data();
    objective.global_offset = global_offset_;
    objective.user_reg = users.reg.data();
    objective.item_reg = items.reg.data();
    objective.user_bias_reg = users.bias_reg.data();
    objective.item_bias_reg = items.bias_reg.data();
    const MfParameters<const float> point{
        users.factors.data(), items.factors.data(), users.bias.data(), items.bias.data(), stride_, stride_};
    const MfParameters<float> gradient{users.factor_gradient.data(),
                                       items.factor_gradient.data(),
                                       users.bias_gradient.data(),
                                       items.bias_gradient.data(),
                                       stride_,
                                       stride_};
    const MfCost cost = mf_gradient(ratings, objective, point, gradient, batch_errors_.data(), config_.n_threads);
    ++steps_;
    scatter_step(user_, users, learning_rate, bias_learning_rate);
    scatter_step(item_, items, learning_rate, bias_learning_rate);
    return cost.loss * static_cast<double>(n);
}

std::vector<std::uint32_t> GradientTrainer::shuffled() const {
    std::vector<std::uint32_t> order(users_.size());
    std::iota(order.begin(), order.end(), 0u);
    shuffle(order.data(), static_cast<std::int64_t>(order.size()), Rng(mix64(config_.seed) + epochs_, kRatingOrder));
    return order;
}

GradientTrainer::Order GradientTrainer::order() const {
    Order result;
    if (config_.batch_size == 0) return {users_, items_, std::vector<std::int64_t>(users_.size(), 0)};
    const std::vector<std::uint32_t> order = shuffled();
    for (std::size_t e = 0; e < order.size(); ++e) {
        result.users.push_back(users_[order[e]]);
        result.items.push_back(items_[order[e]]);
        result.steps.push_back(static_cast<std::int64_t>(e) / config_.batch_size);
    }
    return result;
}

double GradientTrainer::penalty() {
    settle();
    const auto side = [&](const Side& s) {
        const std::int64_t n = s.factors.rows;
        std::vector<double> partial(at((n + kRowGrain - 1) / kRowGrain));
        parallel_chunks(n, kRowGrain, threads_for(n * (stride_ / 8), config_.n_threads),
                        [&](std::int64_t begin, std::int64_t end, int) {
                            double sum = 0;
                            for (std::int64_t r = begin; r < end; ++r) {
                                const auto b = static_cast<double>(s.bias.values[r]);
                                sum += static_cast<double>(s.reg[at(r)]) *
                                           squared_norm(s.factors.values.data() + r * stride_, stride_) +
                                       static_cast<double>(s.bias_reg[at(r)]) * b * b;
                            }
                            partial[at(begin / kRowGrain)] = sum;
                        });
        return std::accumulate(partial.begin(), partial.end(), 0.0);
    };
    return 0.5 * (side(user_) + side(item_));
}

void GradientTrainer::set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                                     VectorView<const float> values) {
    const char* caller = "GradientTrainer.set_validation";
    check(users.size == values.size && items.size == values.size, caller,
          ": users, items and values must have equal lengths; got ", users.size, ", ", items.size, " and ",
          values.size);
    const auto rows = [&](const VectorView<const std::int32_t>& given, std::int64_t limit, const char* name) {
        for (std::int64_t e = 0; e < given.size; ++e)
            check(given[e] >= -1 && given[e] < limit, caller, ": ", name, " must lie in [-1, ", limit, "); got ",
                  given[e], " at entry ", e);
        return std::vector<std::int32_t>(given.data, given.data + given.size);
    };
    validation_users_ = rows(users, user_.factors.rows, "users");
    validation_items_ = rows(items, item_.factors.rows, "items");
    validation_values_.assign(values.data, values.data + values.size);
}

std::vector<float> GradientTrainer::validation_predictions() {
    settle();
    FactorModel model;
    model.user_factors = {user_.factors.values.data(), user_.factors.rows, config_.n_factors, stride_};
    model.item_factors = {item_.factors.values.data(), item_.factors.rows, config_.n_factors, stride_};
    if (config_.bias) {
        model.user_bias = {user_.bias.values.data(), user_.bias.rows};
        model.item_bias = {item_.bias.values.data(), item_.bias.rows};
    }
    model.item_offset = {item_offset_.data(), static_cast<std::int64_t>(item_offset_.size())};
    model.global_offset = global_offset_;
    const auto n = static_cast<std::int64_t>(validation_values_.size());
    std::vector<float> predicted(at(n));
    predict_pairs(model, {validation_users_.data(), n}, {validation_items_.data(), n}, {predicted.data(), n},
                  config_.n_threads);
    return predicted;
}

double GradientTrainer::validation_squared_error() {
    const std::vector<float> predicted = validation_predictions();
    double sum = 0;
    for (std::size_t e = 0; e < predicted.size(); ++e) {
        const double error = static_cast<double>(validation_values_[e]) -
                             static_cast<double>(std::clamp(predicted[e], config_.lowest, config_.highest));
        sum += error * error;
    }
    return sum;
}

double GradientTrainer::validation_log_loss() {
    const std::vector<float> predicted = validation_predictions();
    double sum = 0, slope;
    for (std::size_t e = 0; e < predicted.size(); ++e)
        sum += logistic_loss(static_cast<double>(predicted[e]), static_cast<double>(validation_values_[e]), &slope);
    return sum;
}

void GradientTrainer::save_best() {
    settle();
    for_each_block([&](Block& block) { copy_buffer(block.values, block.best, config_.n_threads); });
    saved_ = true;
}

void GradientTrainer::restore_best() {
    if (!saved_) throw std::logic_error("GradientTrainer.restore_best: nothing was saved");
    for_each_block([&](Block& block) { copy_buffer(block.best, block.values, config_.n_threads); });
    start_optimizer();
}

}  // namespace fastcf
