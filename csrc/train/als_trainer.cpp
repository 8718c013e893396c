#include "train/als_trainer.h"

#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "math/penalty.h"
#include "ops/penalty.h"

namespace fastcf {
namespace {

template <class T>
VectorView<T> view(DeviceArray<T>& array) {
    return {array.data(), array.size()};
}
template <class T>
VectorView<const T> view(const DeviceArray<T>& array) {
    return {array.data(), array.size()};
}

}  // namespace

AlsProblem AlsTrainer::Side::problem() const {
    AlsProblem problem;
    problem.ratings = {indptr.data(), columns.data(), values.data(), rows, cols, values.size()};
    problem.weights = view(weights);
    return problem;
}

void AlsTrainer::Parameters::assign(const Parameters& other, int n_threads) {
    user_factors.assign(other.user_factors, n_threads);
    item_factors.assign(other.item_factors, n_threads);
    user_bias.assign(other.user_bias, n_threads);
    item_bias.assign(other.item_bias, n_threads);
}

AlsTrainer::Side AlsTrainer::make_side(const CsrView& ratings, VectorView<const float> weights,
                                       const TrainerConfig& config, double bias_reg) {
    Side side;
    side.rows = ratings.rows;
    side.cols = ratings.cols;
    side.indptr = DeviceArray<std::int64_t>(ratings.indptr, ratings.rows + 1);
    side.columns = DeviceArray<std::int32_t>(ratings.indices, ratings.nnz());
    side.values = DeviceArray<float>(ratings.values, ratings.nnz());
    side.weights = DeviceArray<float>(weights.data, weights.size);
    std::vector<float> factors(static_cast<std::size_t>(ratings.rows)), biases(factors.size());
    for (std::int64_t r = 0; r < ratings.rows; ++r) {
        const auto at = static_cast<std::size_t>(r);
        factors[at] = row_penalty(ratings.row_size(r), config.reg, config.reg_exponent);
        biases[at] = row_penalty(ratings.row_size(r), bias_reg, 0.0);
    }
    side.penalty = DeviceArray<float>(factors);
    side.bias_penalty = DeviceArray<float>(biases);
    return side;
}

AlsTrainer::AlsTrainer(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                       const CsrView& ratings_by_item, VectorView<const float> item_weights, const AlsConfig& config)
    : config_(config) {
    const char* caller = "AlsTrainer";
    check_training(ratings, weights, item_offset, config, caller);
    check(config.loss == Loss::squared, caller, ": cost must be 'squared'; got 'logistic'");
    check(config.cg_steps >= 0, caller, ": cg_steps must not be negative; got ", config.cg_steps);
    CsrView by_item = ratings_by_item;
    by_item.cols = ratings.rows;
    check(by_item.rows == ratings.cols && by_item.nnz() == ratings.nnz(), caller,
          ": the ratings by item must be as many, of as many items, as those by user (", ratings.nnz(), " of ",
          ratings.cols, "); got ", by_item.nnz(), " of ", by_item.rows);
    check_csr(by_item, ratings.nnz(), caller);
    check(item_weights.size == weights.size, caller, ": item_weights must have as many entries as weights (",
          weights.size, "); got ", item_weights.size);
    config_.n_threads = resolve_threads(config.n_threads);
    user_ = make_side(ratings, weights, config, config.user_bias_reg);
    item_ = make_side(by_item, item_weights, config, config.item_bias_reg);
    item_offset_ = DeviceArray<float>(item_offset.data, item_offset.size);
    now_.user_factors = DeviceArray<float>::zeros(user_.rows * config.n_factors);
    now_.item_factors = DeviceArray<float>::zeros(item_.rows * config.n_factors);
    if (config.user_bias) now_.user_bias = DeviceArray<float>::zeros(user_.rows);
    if (config.item_bias) now_.item_bias = DeviceArray<float>::zeros(item_.rows);
    squared_errors_ = DeviceArray<double>(item_.rows);
}

void AlsTrainer::set_parameters(const FactorArrays& from) {
    check_factor_arrays(from, user_.rows, item_.rows, config_.n_factors, config_.user_bias, config_.item_bias,
                        "AlsTrainer.set_parameters");
    now_.user_factors.upload(from.user_factors.data);
    now_.item_factors.upload(from.item_factors.data);
    now_.user_bias.upload(from.user_bias.data);
    now_.item_bias.upload(from.item_bias.data);
}

void AlsTrainer::get_parameters(const FactorArrays& to) const {
    check_factor_arrays(to, user_.rows, item_.rows, config_.n_factors, config_.user_bias, config_.item_bias,
                        "AlsTrainer.get_parameters");
    now_.user_factors.download(to.user_factors.data);
    now_.item_factors.download(to.item_factors.data);
    download_bias(now_.user_bias, config_.user_bias, to.user_bias);
    download_bias(now_.item_bias, config_.item_bias, to.item_bias);
}

// What the users' targets lack: the items' offsets, biases or both. One number per item: the host may add them.
VectorView<const float> AlsTrainer::column_offset_of_users() {
    if (!config_.item_bias) return view(std::as_const(item_offset_));
    if (item_offset_.empty()) return view(std::as_const(now_.item_bias));
    std::vector<float> sums = item_offset_.to_host();
    const HostView<const float> bias(now_.item_bias);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += bias.data()[i];
    item_offset_and_bias_.reserve(item_.rows);
    item_offset_and_bias_.upload(sums.data());
    return view(std::as_const(item_offset_and_bias_));
}

void AlsTrainer::solve(AlsProblem problem, const Side& side, double bias_reg, DeviceArray<float>& factors,
                       DeviceArray<float>& bias, VectorView<double> squared_errors) {
    problem.offset = item_offset_.empty() ? config_.global_offset : 0.0f;
    AlsPrior prior;
    prior.reg = config_.reg;
    prior.reg_exponent = config_.reg_exponent;
    prior.bias_reg = bias_reg;
    AlsMethod method;
    method.cg_steps = config_.cg_steps;
    method.squared_errors = squared_errors;
    als_update(problem, prior, method, {factors.data(), side.rows, config_.n_factors, config_.n_factors}, view(bias),
               config_.n_threads);
}

double AlsTrainer::epoch() {
    const std::int64_t k = config_.n_factors;
    AlsProblem users = user_.problem();
    users.column_factors = {now_.item_factors.data(), item_.rows, k, k};
    users.column_offset = column_offset_of_users();
    solve(users, user_, config_.user_bias_reg, now_.user_factors, now_.user_bias, {});
    AlsProblem items = item_.problem();
    items.column_factors = {now_.user_factors.data(), user_.rows, k, k};
    items.row_offset = view(std::as_const(item_offset_));
    items.column_offset = view(std::as_const(now_.user_bias));
    solve(items, item_, config_.item_bias_reg, now_.item_factors, now_.item_bias, view(squared_errors_));
    const HostView<const double> errors(squared_errors_);
    return std::accumulate(errors.data(), errors.data() + item_.rows, 0.0);
}

double AlsTrainer::penalty() const {
    const auto of_rows = [&](const DeviceArray<float>& rows, const DeviceArray<float>& weights, std::int64_t cols) {
        if (rows.empty()) return 0.0;
        return fastcf::penalty<float>({rows.data(), weights.size(), cols, cols}, view(weights), config_.n_threads);
    };
    return 0.5 * (of_rows(now_.user_factors, user_.penalty, config_.n_factors) +
                  of_rows(now_.item_factors, item_.penalty, config_.n_factors) +
                  of_rows(now_.user_bias, user_.bias_penalty, 1) + of_rows(now_.item_bias, item_.bias_penalty, 1));
}

void AlsTrainer::set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                                VectorView<const float> values, VectorView<const float> weights) {
    held_out_.set(users, items, values, weights, {user_.rows}, {item_.rows}, "AlsTrainer.set_validation");
}

void AlsTrainer::set_sample(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                            VectorView<const float> values, VectorView<const float> weights) {
    sample_.set(users, items, values, weights, {user_.rows}, {item_.rows}, "AlsTrainer.set_sample");
}

FactorModel AlsTrainer::model() const {
    const std::int64_t k = config_.n_factors;
    FactorModel model;
    model.user_factors = {now_.user_factors.data(), user_.rows, k, k};
    model.item_factors = {now_.item_factors.data(), item_.rows, k, k};
    model.user_bias = view(now_.user_bias);
    model.item_bias = view(now_.item_bias);
    model.item_offset = view(item_offset_);
    model.global_offset = config_.global_offset;
    return model;
}

double AlsTrainer::validation_squared_error() const {
    return held_out_.squared_error(model(), config_.lowest, config_.highest, config_.n_threads);
}

double AlsTrainer::sample_squared_error() const {
    return sample_.squared_error(model(), config_.n_threads);
}

void AlsTrainer::save_best() {
    best_.assign(now_, config_.n_threads);
    saved_ = true;
}

void AlsTrainer::restore_best() {
    if (!saved_) throw std::logic_error("AlsTrainer.restore_best: nothing was saved");
    now_.assign(best_, config_.n_threads);
}

void AlsTrainer::list_state(StateFields& fields) {
    fields.saved(saved_);
    const auto list = [&](const std::string& name, DeviceArray<float>& now, DeviceArray<float>& best) {
        fields.array(name, now);
        fields.best_array(name + ".best", best, now.size());
    };
    list("user_factors", now_.user_factors, best_.user_factors);
    list("item_factors", now_.item_factors, best_.item_factors);
    if (config_.user_bias) list("user_bias", now_.user_bias, best_.user_bias);
    if (config_.item_bias) list("item_bias", now_.item_bias, best_.item_bias);
}

}  // namespace fastcf
