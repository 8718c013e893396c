#include "train/implicit_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "ops/factor_gram.h"
#include "ops/gemm.h"
#include "ops/penalty.h"

namespace fastcf {
namespace {

constexpr const char* kName = "ImplicitTrainer";

}  // namespace

ImplicitTrainer::Side ImplicitTrainer::make_side(const CsrView& choices, const ImplicitConfig& config) {
    Side side;
    side.rows = choices.rows;
    side.cols = choices.cols;
    side.indptr = DeviceArray<std::int64_t>(choices.indptr, choices.rows + 1);
    side.columns = DeviceArray<std::int32_t>(choices.indices, choices.nnz());
    if (choices.values != nullptr) side.weights = DeviceArray<float>(choices.values, choices.nnz());
    std::vector<float> penalties(static_cast<std::size_t>(choices.rows));
    const double all = config.unobserved * static_cast<double>(choices.cols);
    for (std::int64_t r = 0; r < choices.rows; ++r) {
        auto n = static_cast<double>(choices.row_size(r));
        if (choices.values != nullptr)
            n = std::accumulate(choices.values + choices.indptr[r], choices.values + choices.indptr[r + 1], 0.0);
        penalties[static_cast<std::size_t>(r)] =
            static_cast<float>(config.reg * std::pow(n + all, config.reg_exponent));
    }
    side.penalties = DeviceArray<float>(penalties);
    return side;
}

ImplicitTrainer::ImplicitTrainer(const CsrView& choices, const CsrView& by_item, const ImplicitConfig& config)
    : config_(config) {
    CsrView items = by_item;
    items.cols = choices.rows;
    check(config.n_factors > 0, kName, ": n_factors must be at least 1; got ", config.n_factors);
    check(std::isfinite(config.reg) && config.reg >= 0, kName, ": reg must not be negative; got ", config.reg);
    check(std::isfinite(config.unobserved) && config.unobserved >= 0, kName, ": unobserved must not be negative; got ",
          config.unobserved);
    check(std::isfinite(config.reg_exponent) && config.reg_exponent >= 0, kName,
          ": reg_exponent must not be negative; got ", config.reg_exponent);
    check(config.block >= 0 && (config.block == 0 || config.cg_steps == 0), kName,
          ": block must not be negative, and 0 with cg_steps; got ", config.block);
    check(config.cg_steps >= 0, kName, ": cg_steps must not be negative; got ", config.cg_steps);
    check(items.rows == choices.cols && items.nnz() == choices.nnz(), kName,
          ": the choices by item must be as many, of as many items, as those by user (", choices.nnz(), " of ",
          choices.cols, "); got ", items.nnz(), " of ", items.rows);
    check((items.values == nullptr) == (choices.values == nullptr), kName,
          ": values must be given in both orders, or in none");
    check_csr(items, choices.nnz(), kName);
    for (const CsrView& side : {choices, items})
        for (std::int64_t e = 0; side.values != nullptr && e < side.nnz(); ++e)
            check(std::isfinite(side.values[e]) && side.values[e] > 0, kName,
                  ": values must be finite and above 0; got ", side.values[e], " at entry ", e);
    config_.n_threads = resolve_threads(config.n_threads);
    user_ = make_side(choices, config);
    item_ = make_side(items, config);
    user_factors_ = DeviceArray<float>::zeros(user_.rows * config.n_factors);
    item_factors_ = DeviceArray<float>::zeros(item_.rows * config.n_factors);
    squared_errors_ = DeviceArray<double>(std::max(user_.rows, item_.rows));
}

void ImplicitTrainer::set_parameters(const FactorArrays& from) {
    check_factor_arrays(from, user_.rows, item_.rows, config_.n_factors, false, false,
                        "ImplicitTrainer.set_parameters");
    user_factors_.upload(from.user_factors.data);
    item_factors_.upload(from.item_factors.data);
}

void ImplicitTrainer::get_parameters(const FactorArrays& to) const {
    check_factor_arrays(to, user_.rows, item_.rows, config_.n_factors, false, false, "ImplicitTrainer.get_parameters");
    user_factors_.download(to.user_factors.data);
    item_factors_.download(to.item_factors.data);
}

void ImplicitTrainer::gram(bool users, MatrixView<double> out) const {
    const DeviceArray<float>& factors = users ? user_factors_ : item_factors_;
    const std::int64_t k = config_.n_factors;
    factor_gram({factors.data(), users ? user_.rows : item_.rows, k, k}, out, config_.n_threads);
}

void ImplicitTrainer::rotate(DeviceArray<float>& factors, std::int64_t rows, const DeviceArray<float>& basis) {
    const std::int64_t k = config_.n_factors;
    if (spare_.size() != factors.size()) spare_ = DeviceArray<float>(factors.size());
    gemm<float>(false, false, 1.0f, {factors.data(), rows, k, k}, {basis.data(), k, k, k}, 0.0f,
                {spare_.data(), rows, k, k}, config_.n_threads);
    std::swap(factors, spare_);
}

double ImplicitTrainer::update(bool users, MatrixView<const float> basis, VectorView<const float> spectrum) {
    const std::int64_t k = config_.n_factors;
    check(basis.rows == k && basis.cols == k, kName, ".update: basis must have shape (", k, ", ", k, "); got (",
          basis.rows, ", ", basis.cols, ")");
    check(spectrum.size == k, kName, ".update: spectrum must have ", k, " entries; got ", spectrum.size);
    const DeviceArray<float> axes(basis.data, k * k);
    rotate(user_factors_, user_.rows, axes);
    rotate(item_factors_, item_.rows, axes);
    return config_.block > 0 && config_.block < k ? solve_in_blocks(users, spectrum) : solve(users, spectrum, false);
}

double ImplicitTrainer::sum_of_errors(std::int64_t rows) const {
    const HostView<const double> errors(squared_errors_);
    return std::accumulate(errors.data(), errors.data() + rows, 0.0);
}

AlsProblem ImplicitTrainer::problem(const Side& side) const {
    AlsProblem problem;
    problem.ratings = {side.indptr.data(), side.columns.data(), nullptr, side.rows, side.cols, side.columns.size()};
    problem.weights = {side.weights.data(), side.weights.size()};
    return problem;
}

// In the axes of the Gram matrix only the choices join the blocks, by their residuals.
double ImplicitTrainer::solve_in_blocks(bool users, VectorView<const float> spectrum) {
    const std::int64_t k = config_.n_factors;
    Side& side = users ? user_ : item_;
    DeviceArray<float>& factors = users ? user_factors_ : item_factors_;
    const DeviceArray<float>& others = users ? item_factors_ : user_factors_;
    side.residuals.reserve(side.columns.size());
    AlsProblem all = problem(side);
    all.column_factors = {others.data(), side.cols, k, k};
    AlsPrior prior;
    prior.penalties = {side.penalties.data(), side.penalties.size()};
    AlsMethod method;
    method.squared_errors = {squared_errors_.data(), side.rows};
    method.residuals = {side.residuals.data(), side.columns.size()};
    method.only_errors = true;
    als_update(all, prior, method, {factors.data(), side.rows, k, k}, {}, config_.n_threads);
    method.only_errors = false;
    prior.unobserved = config_.unobserved;
    for (std::int64_t first = 0; first < k; first += config_.block) {
        const std::int64_t size = std::min(config_.block, k - first);
        all.column_factors = {others.data() + first, side.cols, size, k};
        prior.spectrum = {spectrum.data + first, size};
        als_update(all, prior, method, {factors.data() + first, side.rows, size, k}, {}, config_.n_threads);
    }
    return sum_of_errors(side.rows);
}

double ImplicitTrainer::solve(bool users, VectorView<const float> spectrum, bool only_errors) {
    const std::int64_t k = config_.n_factors;
    const Side& side = users ? user_ : item_;
    DeviceArray<float>& factors = users ? user_factors_ : item_factors_;
    const DeviceArray<float>& others = users ? item_factors_ : user_factors_;
    AlsProblem rows = problem(side);
    rows.column_factors = {others.data(), side.cols, k, k};
    AlsPrior prior;
    prior.penalties = {side.penalties.data(), side.penalties.size()};
    prior.unobserved = config_.unobserved;
    prior.spectrum = spectrum;
    AlsMethod method;
    method.cg_steps = config_.cg_steps;
    method.squared_errors = {squared_errors_.data(), side.rows};
    method.only_errors = only_errors;
    als_update(rows, prior, method, {factors.data(), side.rows, k, k}, {}, config_.n_threads);
    return sum_of_errors(side.rows);
}

double ImplicitTrainer::squared_error() {
    return solve(false, {}, true);
}

double ImplicitTrainer::penalty() const {
    const std::int64_t k = config_.n_factors;
    const auto of = [&](const DeviceArray<float>& rows, const Side& side) {
        return fastcf::penalty<float>({rows.data(), side.rows, k, k}, {side.penalties.data(), side.penalties.size()},
                                      config_.n_threads);
    };
    return of(user_factors_, user_) + of(item_factors_, item_);
}

void ImplicitTrainer::save_best() {
    best_user_factors_.assign(user_factors_, config_.n_threads);
    best_item_factors_.assign(item_factors_, config_.n_threads);
    saved_ = true;
}

void ImplicitTrainer::restore_best() {
    if (!saved_) throw std::logic_error("ImplicitTrainer.restore_best: nothing was saved");
    user_factors_.assign(best_user_factors_, config_.n_threads);
    item_factors_.assign(best_item_factors_, config_.n_threads);
}

void ImplicitTrainer::list_state(StateFields& fields) {
    fields.saved(saved_);
    const auto list = [&](const std::string& name, DeviceArray<float>& now, DeviceArray<float>& best) {
        fields.array(name, now);
        fields.best_array(name + ".best", best, now.size());
    };
    list("user_factors", user_factors_, best_user_factors_);
    list("item_factors", item_factors_, best_item_factors_);
}

}  // namespace fastcf
