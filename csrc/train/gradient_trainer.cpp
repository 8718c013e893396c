#include "train/gradient_trainer.h"

#include <stdexcept>

#include "core/check.h"
#include "core/interrupt.h"
#include "core/parallel.h"
#include "math/penalty.h"
#include "ops/penalty.h"
#include "ops/rows.h"

namespace fastcf {
namespace {

std::size_t at(std::int64_t i) {
    return static_cast<std::size_t>(i);
}

DeviceArray<float> penalties(const std::vector<std::int64_t>& counts, double reg, double exponent) {
    std::vector<float> rates(counts.size());
    for (std::size_t r = 0; r < counts.size(); ++r) rates[r] = row_penalty(counts[r], reg, exponent);
    return DeviceArray<float>(rates);
}

template <class T>
VectorView<const T> view_of(const DeviceArray<T>& array) {
    return {array.data(), array.size()};
}

}  // namespace

template <class Body>
void GradientTrainer::for_each_block(Body&& body) {
    body(user_.factors);
    body(item_.factors);
    if (config_.user_bias) body(user_.bias);
    if (config_.item_bias) body(item_.bias);
}

GradientTrainer::GradientTrainer(const CsrView& ratings, VectorView<const float> weights,
                                 VectorView<const float> item_offset, const GradientConfig& config)
    : config_(config), stride_(row_stride(config.n_factors)) {
    const char* caller = "GradientTrainer";
    const std::int64_t n = ratings.nnz();
    check_training(ratings, weights, item_offset, config, caller);
    check_optimizer(config.optimizer, caller);
    check(config.batch_size >= 0, caller, ": batch_size must not be negative; got ", config.batch_size);
    check(config.batch_size == 0 || n <= UINT32_MAX, caller, ": ratings must be fewer than 2^32 with batches; got ", n);
    config_.n_threads = resolve_threads(config.n_threads);
    item_offset_ = DeviceArray<float>(item_offset.data, item_offset.size);
    std::vector<std::int64_t> user_counts(at(ratings.rows)), item_counts(at(ratings.cols));
    for (std::int64_t u = 0; u < ratings.rows; ++u) user_counts[at(u)] = ratings.row_size(u);
    for (std::int64_t e = 0; e < n; ++e) ++item_counts[at(ratings.indices[e])];
    start_side(user_, user_counts, config.user_bias_reg, config.user_bias);
    start_side(item_, item_counts, config.item_bias_reg, config.item_bias);
    if (config.batch_size == 0) {
        all_ = AllRatings<float>(ratings, ratings.values, weights);
        errors_ = DeviceArray<float>(n);
        return;
    }
    batches_ = Batches(ratings, weights, config.batch_size, config.seed);
    optimizer_ = TabulatedOptimizer(config.optimizer);
    config_.optimizer = optimizer_;
}

void GradientTrainer::start_side(Side& side, const std::vector<std::int64_t>& counts, double bias_reg, bool biased) {
    side.biased = biased;
    side.reg = penalties(counts, config_.reg, config_.reg_exponent);
    side.share = penalties(counts, config_.reg, config_.reg_exponent - 1);
    side.bias_reg = penalties(counts, bias_reg, 0);
    side.bias_share = penalties(counts, bias_reg, -1);
    const auto start = [&](Block& block, std::int64_t cols) {
        block = {{static_cast<std::int64_t>(counts.size()), cols, config_.optimizer.kind}, {}};
        if (config_.batch_size == 0) block.gradient = DeviceArray<float>(block.values.size());
    };
    start(side.factors, stride_);
    start(side.bias, 1);
}

void GradientTrainer::start_optimizer() {
    steps_ = 0;
    for_each_block([](Block& block) { block.forget(); });
}

void GradientTrainer::settle() {
    if (config_.batch_size == 0) return;  // all rows took all steps
    for_each_block([&](Block& block) { optimizer_flush(config_.optimizer, steps_, block.state(), config_.n_threads); });
}

void GradientTrainer::set_parameters(const FactorArrays& from) {
    check_factor_arrays(from, user_.factors.rows, item_.factors.rows, config_.n_factors, config_.user_bias,
                        config_.item_bias, "GradientTrainer.set_parameters");
    upload_rows(from.user_factors, user_.factors.values, stride_);
    upload_rows(from.item_factors, item_.factors.values, stride_);
    if (config_.user_bias) user_.bias.values.upload(from.user_bias.data);
    if (config_.item_bias) item_.bias.values.upload(from.item_bias.data);
    start_optimizer();
}

void GradientTrainer::get_parameters(const FactorArrays& to) {
    check_factor_arrays(to, user_.factors.rows, item_.factors.rows, config_.n_factors, config_.user_bias,
                        config_.item_bias, "GradientTrainer.get_parameters");
    settle();
    download_rows(user_.factors.values, stride_, to.user_factors);
    download_rows(item_.factors.values, stride_, to.item_factors);
    download_bias(user_.bias.values, config_.user_bias, to.user_bias);
    download_bias(item_.bias.values, config_.item_bias, to.item_bias);
}

double GradientTrainer::epoch(double learning_rate, double bias_learning_rate) {
    if (config_.batch_size == 0) {
        ++epochs_;
        return full_step(learning_rate, bias_learning_rate);
    }
    batches_.start(epochs_, config_.n_threads);
    ++epochs_;
    // Nothing waits for the device before the last batch: the host plans the next one while it works.
    const std::int64_t n = batches_.count();
    costs_.reserve(2 * n);
    std::vector<double> sizes;
    for (std::int64_t b = 0; b < n; ++b) {
        if (interrupt_pending()) throw Interrupted();
        const Batches::Batch batch = batches_.batch(b);
        batch_step(batch, learning_rate, bias_learning_rate, costs_.data() + 2 * b);
        sizes.push_back(static_cast<double>(batch.size));
    }
    const std::vector<double> costs = costs_.to_host();
    double loss = 0;
    for (std::size_t b = 0; b < sizes.size(); ++b) loss += costs[2 * b] * sizes[b];
    return loss;
}

double GradientTrainer::full_step(double learning_rate, double bias_learning_rate) {
    MfObjective<float> objective;
    objective.loss = config_.loss;
    objective.item_offset = item_offset_.data();
    objective.global_offset = config_.global_offset;
    objective.user_reg = user_.reg.data();
    objective.item_reg = item_.reg.data();
    objective.user_bias_reg = user_.bias_reg.data();
    objective.item_bias_reg = item_.bias_reg.data();
    MfParameters<const float> point{
        user_.factors.values.data(), item_.factors.values.data(), nullptr, nullptr, stride_, stride_};
    MfParameters<float> gradient{
        user_.factors.gradient.data(), item_.factors.gradient.data(), nullptr, nullptr, stride_, stride_};
    if (config_.bias()) {
        point.user_bias = user_.bias.values.data();
        point.item_bias = item_.bias.values.data();
        gradient.user_bias = user_.bias.gradient.data();
        gradient.item_bias = item_.bias.gradient.data();
    }
    const MfCost cost = mf_gradient(all_.view(), objective, point, gradient, errors_.data(), config_.n_threads);
    ++steps_;
    for_each_block([&](Block& block) {
        const bool bias = &block == &user_.bias || &block == &item_.bias;
        optimizer_step<float>(config_.optimizer, bias ? bias_learning_rate : learning_rate, steps_, block.values.size(),
                              block.values.data(), block.gradient.data(), block.first.data(), block.second.data(),
                              config_.n_threads);
    });
    return cost.loss;
}

// Brings a side's touched rows up to date and copies them side by side.
void GradientTrainer::gather(Side& side, const Batches::Side& batch, Touched& touched) {
    const std::int64_t n = batch.rows.size;
    const auto take = [&](const DeviceArray<float>& from, std::int64_t rows, std::int64_t cols,
                          VectorView<const float> weights, DeviceArray<float>& to) {
        to.reserve(n * cols);
        gather_rows<float>({from.data(), rows, cols, cols}, batch.rows, weights, {to.data(), n, cols, cols},
                           config_.n_threads);
    };
    optimizer_catch_up(config_.optimizer, steps_, side.factors.state(), batch.rows, config_.n_threads);
    take(side.factors.values, side.factors.rows, stride_, {}, touched.factors);
    take(side.share, side.factors.rows, 1, batch.shares, touched.reg);
    touched.factor_gradient.reserve(n * stride_);
    if (!config_.bias()) return;
    if (side.biased) optimizer_catch_up(config_.optimizer, steps_, side.bias.state(), batch.rows, config_.n_threads);
    take(side.bias.values, side.bias.rows, 1, {}, touched.bias);
    take(side.bias_share, side.bias.rows, 1, batch.shares, touched.bias_reg);
    touched.bias_gradient.reserve(n);
}

void GradientTrainer::step_rows(Side& side, const Batches::Side& batch, const Touched& touched, double learning_rate,
                                double bias_learning_rate) {
    optimizer_step_rows<float>(config_.optimizer, learning_rate, steps_, side.factors.state(), batch.rows,
                               touched.factor_gradient.data(), stride_, config_.n_threads);
    if (side.biased)
        optimizer_step_rows<float>(config_.optimizer, bias_learning_rate, steps_, side.bias.state(), batch.rows,
                                   touched.bias_gradient.data(), 1, config_.n_threads);
}

void GradientTrainer::batch_step(const Batches::Batch& batch, double learning_rate, double bias_learning_rate,
                                 double* cost) {
    Touched &users = touched_users_, &items = touched_items_;
    gather(user_, batch.users, users);
    gather(item_, batch.items, items);
    if (!item_offset_.empty()) {
        const std::int64_t n = batch.items.rows.size;
        touched_offset_.reserve(n);
        gather_rows<float>({item_offset_.data(), item_offset_.size(), 1, 1}, batch.items.rows, {},
                           {touched_offset_.data(), n, 1, 1}, config_.n_threads);
    }
    errors_.reserve(batch.size);
    MfObjective<float> objective;
    objective.loss = config_.loss;
    objective.item_offset = touched_offset_.data();
    objective.global_offset = config_.global_offset;
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
    mf_gradient(batch.ratings, objective, point, gradient, errors_.data(), cost, config_.n_threads);
    ++steps_;
    step_rows(user_, batch.users, users, learning_rate, bias_learning_rate);
    step_rows(item_, batch.items, items, learning_rate, bias_learning_rate);
}

TrainingOrder GradientTrainer::order() const {
    TrainingOrder result;
    if (config_.batch_size == 0) {
        result.items = all_.items.to_host();
        result.steps.assign(result.items.size(), 0);
        const std::vector<std::int64_t> indptr = all_.indptr.to_host();
        for (std::size_t u = 0; u + 1 < indptr.size(); ++u)
            result.users.resize(at(indptr[u + 1]), static_cast<std::int32_t>(u));
        return result;
    }
    for (const std::uint32_t entry : batches_.shuffled(epochs_)) {
        result.steps.push_back(static_cast<std::int64_t>(result.steps.size()) / config_.batch_size);
        result.users.push_back(batches_.user(entry));
        result.items.push_back(batches_.item(entry));
    }
    return result;
}

double GradientTrainer::penalty() {
    settle();
    double sum = 0;
    for (const Side* side : {&user_, &item_}) {
        const auto add = [&](const Block& block, const DeviceArray<float>& weights) {
            sum += fastcf::penalty<float>({block.values.data(), block.rows, block.cols, block.cols}, view_of(weights),
                                          config_.n_threads);
        };
        add(side->factors, side->reg);
        if (side->biased) add(side->bias, side->bias_reg);
    }
    return 0.5 * sum;
}

void GradientTrainer::set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                                     VectorView<const float> values, VectorView<const float> weights) {
    held_out_.set(users, items, values, weights, {user_.factors.rows}, {item_.factors.rows},
                  "GradientTrainer.set_validation");
}

void GradientTrainer::set_sample(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                                 VectorView<const float> values, VectorView<const float> weights) {
    sample_.set(users, items, values, weights, {user_.factors.rows}, {item_.factors.rows},
                "GradientTrainer.set_sample");
}

FactorModel GradientTrainer::model() const {
    const auto factors = [&](const Block& block) {
        return MatrixView<const float>{block.values.data(), block.rows, config_.n_factors, stride_};
    };
    FactorModel model;
    model.user_factors = factors(user_.factors);
    model.item_factors = factors(item_.factors);
    if (config_.user_bias) model.user_bias = view_of(user_.bias.values);
    if (config_.item_bias) model.item_bias = view_of(item_.bias.values);
    model.item_offset = view_of(item_offset_);
    model.global_offset = config_.global_offset;
    return model;
}

double GradientTrainer::validation_squared_error() {
    settle();
    return held_out_.squared_error(model(), config_.lowest, config_.highest, config_.n_threads);
}

double GradientTrainer::validation_log_loss() {
    settle();
    return held_out_.log_loss(model(), config_.n_threads);
}

// The model with all rows up to date, which stay as they are.
FactorModel GradientTrainer::sample_model() {
    FactorModel seen = model();
    if (config_.batch_size == 0 || !moves_untouched(config_.optimizer.kind, config_.optimizer.weight_decay))
        return seen;
    OptimizedRows<float>* copy = seen_;
    const auto settled = [&](const Block& block) {
        copy->settled_copy(block, config_.optimizer, steps_, config_.n_threads);
        return (copy++)->values.data();
    };
    seen.user_factors.data = settled(user_.factors);
    seen.item_factors.data = settled(item_.factors);
    if (config_.user_bias) seen.user_bias.data = settled(user_.bias);
    if (config_.item_bias) seen.item_bias.data = settled(item_.bias);
    return seen;
}

double GradientTrainer::sample_squared_error() {
    return sample_.squared_error(sample_model(), config_.n_threads);
}

double GradientTrainer::sample_log_loss() {
    return sample_.log_loss(sample_model(), config_.n_threads);
}

void GradientTrainer::save_best() {
    settle();
    for_each_block([&](Block& block) { block.save_best(config_.n_threads); });
    saved_ = true;
}

void GradientTrainer::restore_best() {
    if (!saved_) throw std::logic_error("GradientTrainer.restore_best: nothing was saved");
    for_each_block([&](Block& block) { block.restore_best(config_.n_threads); });
    start_optimizer();
}

void GradientTrainer::list_state(StateFields& fields) {
    fields.saved(saved_);
    fields.counter("epochs", epochs_);
    fields.counter("steps", steps_);
    user_.factors.list_state(fields, "user_factors");
    item_.factors.list_state(fields, "item_factors");
    if (config_.user_bias) user_.bias.list_state(fields, "user_bias");
    if (config_.item_bias) item_.bias.list_state(fields, "item_bias");
}

}  // namespace fastcf
